"""Figures for papers, PNG and PDF: of runs (`make`), of the theory (`make_gallery`), and the
`draw_*` functions they are made of.

A ``draw_x(ax, data, ...)`` function draws on axes that are given, and returns them; `style.paper`
and `style.figure` give the look and the sizes.

The chapters, each building on those before it: `given` checks data, `style` has the look; `curves`,
`damping`, `polynomials` and `spectra` draw on axes; `gallery`, `runs` and `studies` make whole
figures of the theory, of runs and of studies; `registry` has those of theory and runs by name;
`page` is one interactive page.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import figures._matplotlib  # noqa: F401, before all others, which import parts of matplotlib

if TYPE_CHECKING:
    from figures.curves import draw_convergence, draw_factors, draw_time_per_unknown, draw_training
    from figures.damping import draw_damping
    from figures.polynomials import draw_polynomials
    from figures.registry import make, make_gallery
    from figures.runs.demo import starts
    from figures.runs.several import draw_accuracies, draw_level_factors
    from figures.spectra import draw_spectrum
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
    **{"draw_damping": "damping", "starts": "runs.demo", "draw_polynomials": "polynomials"},
    **{"make": "registry", "make_gallery": "registry", "draw_spectrum": "spectra"},
    **dict.fromkeys(("draw_accuracies", "draw_level_factors"), "runs.several"),
    **dict.fromkeys(("figure", "figure_legend", "paper", "save"), "style"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'figures' has no attribute {name!r}")
    return getattr(import_module(f"figures.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
