"""The residual polynomial q, its factors, recurrences, classical and computed families of it, and
its scores."""
