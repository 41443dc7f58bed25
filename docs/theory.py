""".. include:: theory.md"""
