"""Figures for papers, PNG and PDF: of runs (`make`), of the theory (`make_gallery`), and the
`draw_*` functions they are made of.

A ``draw_x(ax, data, ...)`` function draws on axes that are given, and returns them; `style.paper`
and `style.figure` give the look and the sizes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import figures._matplotlib  # noqa: F401, before all others, which import parts of matplotlib

if TYPE_CHECKING:
    from figures.curves import draw_convergence, draw_factors, draw_time_per_unknown, draw_training
    from figures.damping import draw_damping
    from figures.demo import starts
    from figures.polynomials import draw_polynomials
    from figures.registry import make, make_gallery
    from figures.spectra import draw_spectrum
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

# imported when they are asked for: what draws no runs needs no torch. No module has the name of
# what it offers, whose place in the package it would take when it is imported.
_HOMES = {
    **dict.fromkeys(
        ("draw_convergence", "draw_factors", "draw_time_per_unknown", "draw_training"), "curves"
    ),
    **{"draw_damping": "damping", "starts": "demo", "draw_polynomials": "polynomials"},
    **{"make": "registry", "make_gallery": "registry", "draw_spectrum": "spectra"},
    **dict.fromkeys(("draw_accuracies", "draw_level_factors"), "study"),
    **dict.fromkeys(("figure", "figure_legend", "paper", "save"), "style"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'figures' has no attribute {name!r}")
    return getattr(import_module(f"figures.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
