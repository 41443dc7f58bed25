"""Figures for papers, PNG and PDF: of runs (`make`), of the theory (`make_gallery`), and the
`draw_*` functions they are made of.

A ``draw_x(ax, data, ...)`` function draws on axes that are given, and returns them; `style.paper`
and `style.figure` give the look and the sizes.
"""

import figures._matplotlib  # noqa: F401, before all others, which import parts of matplotlib
from figures.curves import draw_convergence, draw_factors, draw_time_per_unknown, draw_training
from figures.damping import draw_damping
from figures.make import make, make_gallery
from figures.polynomials import draw_polynomials
from figures.spectra import draw_spectrum
from figures.starts import starts
from figures.study import draw_accuracies, draw_level_factors
from figures.style import figure, figure_legend, paper, save

__all__ = [
    "draw_accuracies",
    "draw_convergence",
    "draw_damping",
    "draw_factors",
    "draw_level_factors",
    "draw_polynomials",
    "draw_spectrum",
    "draw_time_per_unknown",
    "draw_training",
    "figure",
    "figure_legend",
    "make",
    "make_gallery",
    "paper",
    "save",
    "starts",
]
