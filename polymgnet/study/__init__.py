"""Studies: a grid of training runs from one file, here or on Slurm."""
