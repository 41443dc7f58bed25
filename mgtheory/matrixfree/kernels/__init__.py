"""Compiled loops over the rows and planes of a grid (numba)."""
