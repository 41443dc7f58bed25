"""Figures of runs: of one run's levels, of a run along its training, of several runs, and of the
demo."""
