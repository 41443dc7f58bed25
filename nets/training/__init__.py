"""Training runs: the loop, the optimisers, checkpoints, run folders and prediction."""
