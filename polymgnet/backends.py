"""The backends of a solve by name: how each is set up, and what it needs."""

import math
import os
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from polymgnet import console


@dataclass(frozen=True)
class Backend:
    """A kind of hierarchy.

    Attributes
    ----------
    home, name
        Where its class stands, imported when it is used.
    coarsest
        Unknowns on the coarsest grid by default, as the class has it.
    least_bytes
        For an unknown, measured on the leanest problems: below it nothing is solved.
    """

    home: str
    name: str
    coarsest: int
    least_bytes: int


# --backend -> what runs the cycle
BACKENDS = {
    "sparse": Backend("mgtheory", "Hierarchy", 64, 250),
    "stencil": Backend("mgtheory", "StencilHierarchy", 4096, 32),
    "torch": Backend("nets.pde.solve", "TorchHierarchy", 64, 250),
    "gpu": Backend("nets.pde.device", "DeviceHierarchy", 2**18, 32),
}


def find(backend: str) -> Backend:
    """The entry of a name; ValueError for an unknown one."""
    from mgtheory._checks import check_name

    return BACKENDS[check_name(backend, tuple(BACKENDS), "backend")]


def build(backend: str, cycle: str, problem: Any, *, show: bool = True, **options: Any) -> Any:
    """The hierarchy of a backend, with progress where kernels must be compiled and `show`;
    ValueError for an unknown one or what it does not support."""
    given = {name: value for name, value in options.items() if value is not None}
    if given.get("pre") == given.get("post") == 0:
        raise ValueError(
            "pre and post are 0: a cycle without smoothing does not converge; one of them must be"
            " larger"
        )
    entry = find(backend)
    kind = getattr(import_module(entry.home), entry.name)
    if "device" in given and backend != "gpu":
        raise ValueError(f"device is {given['device']}, it goes with --backend gpu, not {backend}")
    if backend == "torch":  # the module is made for one kind of cycle
        return kind(problem, cycle=cycle, **given)
    if backend == "stencil" and show:
        with Compiling() as tell:
            return kind.build(problem, tell=tell, **given)
    return kind.build(problem, **given)


def smoothing_of(hierarchy: Any, label: str, given: Any) -> tuple[str, Any]:
    """Name and polynomial of the finest level's smoother where A was found not to be symmetric, and
    another family stands in the place of the default one; else what is given."""
    from mgtheory.multigrid.smoothings import PolynomialSmoothing

    level = hierarchy.levels[0] if hasattr(hierarchy, "levels") else None
    found = getattr(level, "pre", None) or getattr(level, "post", None)
    if not isinstance(found, PolynomialSmoothing) or found.label.startswith(f"{label}("):
        return label, given
    return found.label.partition("(")[0], found.polynomial


def predicted_factor(
    of: Any,
    smoothing: Any,
    *,
    pre: int,
    post: int,
    backend: str,
    axes: Any = "auto",
    coarsening: str | None = None,
    shape: Any = None,
    boundary: str | None = None,
    dtype: Any = None,
    shift: float = 0.0,
) -> float | None:
    """What a cycle of two grids leaves of the worst error, by Fourier analysis; None where the
    operator is not the same at every point, or the analysis does not know the smoother.

    `of` is the problem, or a matrix with the `shape` of its grid; the others are a hierarchy's.
    """
    from mgtheory import Problem, fourier, smoothers
    from mgtheory.multigrid.options import Options
    from mgtheory.multigrid.setup import grid_operator

    if not isinstance(of, Problem):
        if shape is None:
            return None
        grid: dict[str, Any] = {"shape": shape, "boundary": boundary}
        of = grid_operator(of, Options(axes=axes, coarsening=coarsening, **grid))
        coarsening = coarsening or "galerkin"
    if not isinstance(of, Problem) or of.stencil is None:
        return None
    given = smoothers.smoother(smoothers.DEFAULT) if smoothing is None else smoothing
    around: dict[str, Any] = {"pre": pre, "post": post, "axes": axes, "coarsening": coarsening}
    around["shift"] = shift
    try:
        return float(fourier.two_grid_factor(of, given, **around).factor)
    except ValueError:
        return None


def shift_of(hierarchy: Any) -> float:
    """The shift of a hierarchy's first correction as Fourier analysis takes it."""
    finest = getattr(hierarchy, "levels", [None])[0]
    shift = getattr(finest, "shift", 0.0)
    return float(shift * finest.largest) if finest is not None and shift else 0.0


def levels_of(hierarchy: Any) -> list[dict[str, Any]]:
    """The levels of a hierarchy of any backend, the finest, 0, first; None for what it does not
    know."""
    if hasattr(hierarchy, "module"):
        hierarchy = hierarchy.module.hierarchy()
    rows = []
    for number, level in enumerate(hierarchy.levels):
        matrix = getattr(level, "A", None)
        last = number + 1 == len(hierarchy.levels)
        rough = None if last else getattr(level, "interval", None)
        rows.append(
            {
                "level": number,
                "grid": list(level.shape),
                "unknowns": int(level.size),
                "nonzeros": None if matrix is None else int(matrix.nnz),
                "smoothing": "solved exactly" if last else level.smoothing,
                "rough": None if rough is None else [float(end) for end in rough],
            }
        )
    return rows


class Compiling(ExitStack):
    """Says on stderr that kernels are compiled, if they are: called with the name of each
    function before it is."""

    def __init__(self) -> None:
        super().__init__()
        self.done, self.step = 0, console.silent

    def __call__(self, name: str) -> None:
        """The next function."""
        if not self.done:
            console.note(
                "compiling the matrix-free kernels: some 30 s, once for this version and machine"
            )
            self.step = self.enter_context(console.progress("compile"))
        self.done += 1
        self.step(self.done, f"{self.done} functions, now {name}")


def memory() -> float:
    """Bytes of memory of the machine; infinite where it does not say."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_takes_matrix(backend: str) -> None:
    """ValueError for a backend that solves model problems alone."""
    find(backend)
    if backend != "sparse":
        raise ValueError(f"--matrix goes with --backend sparse, not {backend}, which has no matrix")


def check_size(problem: Any, backend: str, *, chosen: bool = True) -> None:
    """ValueError where the machine's memory is less than the backend needs for the unknowns; it is
    told of where it is `chosen` by the command's user."""
    least, there = find(backend).least_bytes, memory()
    if problem.unknowns * least > there:
        most = math.floor((there / least) ** (1 / problem.dim))
        need, have = problem.unknowns * least / 2**30, there / 2**30
        lean = (
            "" if backend in ("stencil", "gpu") or not chosen else ", with --backend stencil more"
        )
        run_by = f" with backend {backend}" if chosen else ""
        raise ValueError(
            f"{problem.name} has {problem.unknowns:,} unknowns, which take {need:,.0f} GiB or more"
            f"{run_by}; this machine has {have:,.0f}: at most --n {most:,}{lean}"
        )
