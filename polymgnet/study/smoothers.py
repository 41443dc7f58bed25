"""A run of a study of smoothers: a polynomial, of a family or learned on the equation, in a V-cycle
whose convergence factor is measured."""

import functools
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from polymgnet.console import Lines, silent, write_json
from polymgnet.errors import Stopped, one_line
from polymgnet.study.run import Run, digest_of
from polymgnet.wording import counted

# key of a run's settings -> what it may be; those without a default must be given
SETTINGS: dict[str, type] = {
    **{"problem": str, "n": int, "degree": int, "smoother": str},
    **{"boundary": str, "pre": int, "post": int, "seed": int},
    **{"start": str, "per": str, "loss": str, "power": int, "steps": int},
}
GIVEN = ("problem", "n", "degree", "smoother")
LEARNED = "learned"
OF_LEARNING = ("start", "per", "loss", "power", "steps")


@dataclass(frozen=True)
class Heard:
    """Who hears how learning goes on. It makes no difference to what is learned: all are equal."""

    progress: Callable[[int, str], None] | None = field(default=None, compare=False)


class SmootherRun(Run):
    """One smoother on one problem at one degree. `seed` draws the error that is reduced."""

    devices, alone = (1, 1), True

    @property
    def _given(self) -> dict[str, Any]:
        """Its settings, defaults included, those of learning where it is learned."""
        given: dict[str, Any] = {"boundary": "dirichlet", "pre": 1, "post": 1, "seed": 0}
        if self.settings.get("smoother") == LEARNED:
            from nets.pde.learn import learn_smoother

            of_learning = inspect.signature(learn_smoother).parameters
            empty = (inspect.Parameter.empty, None)
            given |= {k: v.default for k, v in of_learning.items() if v.default not in empty}
        return given | dict(self.settings)

    @property
    def digest(self) -> str:
        """16 digits of a hash of its settings, defaults included, so that a later version may have
        others."""
        return digest_of(["smoother", self._given])

    @property
    def whole(self) -> str:
        """What no other run of a study may be."""
        return self.digest

    def check(self, *, trains: bool = True, made: dict[str, Any] | None = None) -> None:
        """ValueError for a setting that does not exist, is missing or has a wrong value."""
        from mgtheory.families import FAMILIES
        from mgtheory.problems.catalogue import PROBLEMS, find_problem
        from nets.pde.descent import LOSSES
        from nets.pde.error import SETS

        for key, value in self.settings.items():
            if key not in SETTINGS:
                raise ValueError(f"unknown setting {key!r}, allowed are {', '.join(SETTINGS)}")
            if type(value) is not SETTINGS[key]:
                wanted = "a whole number" if SETTINGS[key] is int else "text"
                raise ValueError(f"{key} is {value!r}, must be {wanted}")
        if missing := [key for key in GIVEN if key not in self.settings]:
            raise ValueError(f"{missing[0]} is missing; a smoother needs {', '.join(GIVEN)}")
        name = self.settings["smoother"]
        names = {"smoother": [LEARNED, *FAMILIES], "problem": list(PROBLEMS)}
        names |= {"start": list(FAMILIES), "loss": list(LOSSES), "per": list(SETS)}
        for key, allowed in names.items():
            value = self.settings.get(key, allowed[0])
            if (value.partition(":")[0] if key == "problem" else value) not in allowed:
                raise ValueError(f"unknown {key} {value!r}, allowed are {', '.join(allowed)}")
        find_problem(self.settings["problem"])  # its numbers
        if name != LEARNED and (vain := [key for key in OF_LEARNING if key in self.settings]):
            raise ValueError(
                f"{vain[0]} is given for the smoother {name!r}, but says how one is learned; leave"
                f" it out or take {LEARNED!r}"
            )

    def __call__(
        self,
        *,
        report: Callable[[str], None] | None = None,
        stop: Callable[[], bool] | None = None,
        progress: bool = False,
    ) -> None:
        """Derive or learn, measure, and write the summary; `report` hears of the learning. Stopped
        where a signal or `stop` asked for it; nothing of the learning is kept."""
        import torch

        from nets.training.environment import environment
        from nets.training.signals import StopRequest

        name, began = self.folder.name, time.perf_counter()
        step = Lines(name, None) if progress else silent

        def learns(cycles: int, state: str) -> None:
            said = f"{counted(cycles, 'cycle')}, {state}"
            step(cycles, said)
            if report is not None:
                report(f"{name}, {said}")
            if asked():
                raise Stopped(f"stopped as asked in {self.folder}; the same command learns it anew")

        with StopRequest(stop) as asked:
            measured = measure(**self._given, heard=Heard(learns))
        measured["seconds"] = round(time.perf_counter() - began, 3)
        by = environment(torch.device("cpu"))
        write_json(self.folder / "summary.json", {**measured, "environment": by})


def measure(
    *,
    problem: str,
    n: int,
    degree: int,
    smoother: str,
    boundary: str,
    pre: int,
    post: int,
    seed: int,
    heard: Heard = Heard(),
    **learning: Any,
) -> dict[str, Any]:
    """The factor of the V-cycle with a smoother; of a learned one that of its start as well. Or why
    the family does not have this problem or degree."""
    import numpy as np

    from mgtheory import Hierarchy, problems
    from mgtheory.comparison import derived
    from nets.pde.learned import measured_factor

    given = problems.create(problem, n, boundary=boundary)
    around: dict[str, Any] = {"pre": pre, "post": post}

    def factor(before: Any, after: Any = None) -> float:
        hierarchy = Hierarchy.build(given, smoother=before, post_smoother=after, **around)
        error = np.random.default_rng(seed).standard_normal(given.unknowns)
        return measured_factor(hierarchy, error)

    family = learning["start"] if smoother == LEARNED else smoother
    try:
        classical = derived(given, family, degree, axes="auto", around=around)
    except ValueError as error:
        return {"refused": one_line(error)}
    if smoother != LEARNED:
        return {"factor": factor(classical)}
    found = learned(problem, n, degree, heard, boundary=boundary, **around, **learning)
    legs = [lambda level, leg=leg: leg[level.index] for leg in (found.before, found.after)]
    return {"factor": factor(*legs), "factor_start": factor(classical), "reason": found.reason}


@functools.lru_cache(maxsize=64)  # the runs that differ in their seed learn the same
def learned(
    problem: str, n: int, degree: int, heard: Heard, *, boundary: str, **options: Any
) -> Any:
    """What `nets.learn_smoother` finds, from the same random errors where it needs any;
    KeyboardInterrupt where Ctrl-C ended it, for a row is one of a search to its end."""
    import torch

    from mgtheory import problems
    from nets.pde.descent import INTERRUPTED
    from nets.pde.learn import learn_smoother

    given, rng = problems.create(problem, n, boundary=boundary), torch.Generator().manual_seed(0)
    found = learn_smoother(given, degree, generator=rng, progress=heard.progress, **options)
    if found.reason.startswith(INTERRUPTED):
        raise KeyboardInterrupt
    return found
