"""polymgnet: multigrid theory and neural networks joined; `polymgnet --help` lists what the command
does.

The whole public surface of `mgtheory`, `nets`, `analysis` and `figures` is offered here too, and
loaded when it is asked for:

>>> import polymgnet
>>> problem = polymgnet.poisson((63, 63))
>>> polymgnet.solve(problem).converged
True

The command itself is a file per subcommand in `commands`, with the `options` that they share, the
`console` they print on and the `errors` they end with; `study` runs many trainings from one file.
"""

from typing import TYPE_CHECKING, Any

from polymgnet.packages import attribute

if TYPE_CHECKING:
    from analysis import *
    from figures import *
    from mgtheory import *
    from nets import *

    __version__: str

_OFFERED = {
    "mgtheory": (
        *("FAMILIES", "Hierarchy", "InitialCoefficients", "Interval", "Problem"),
        *("ResidualPolynomial", "Solution", "Stencil", "StencilHierarchy", "compare_smoothers"),
        *("change_smoothers", "derive", "poisson"),
        *("smoothing_factor", "solve", "three_grid_factor", "two_grid_factor"),
    ),
    "nets": (
        *("Classifier", "MultigridCycle", "PolynomialBlock", "TrainConfig", "create_model"),
        *("initialise", "learn_smoother", "list_models", "load", "load_classifier"),
        *("load_config", "load_data", "register_model", "train"),
    ),
    "analysis": ("along_training", "analyse", "compare"),
    "figures": (
        *("draw_accuracies", "draw_convergence", "draw_damping", "draw_factors"),
        *("draw_level_factors", "draw_polynomials", "draw_spectrum", "draw_time_per_unknown"),
        "draw_training",
    ),
}
_HOMES = {name: package for package, names in _OFFERED.items() for name in names}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604


def _version() -> str:
    """Read where it is asked for: the metadata take a third of the time to load the command."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("polymgnet")
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "0+unknown"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module 'polymgnet' has no attribute {name!r}")
    return attribute(_HOMES[name], name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
