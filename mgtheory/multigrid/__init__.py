"""Multigrid with sparse matrices: set-up, transfers, applied smoothers, cycles and the loop that
solves with them."""
