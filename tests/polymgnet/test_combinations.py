"""Options in any combination: a command is done with one JSON document, or fails or refuses in one
line; none ends with a fault."""

import contextlib
import io
import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mgtheory.families import FAMILIES
from mgtheory.fourier import factor, supremum
from mgtheory.problems.catalogue import PROBLEMS
from mgtheory.smoothers import SMOOTHERS
from polymgnet.cli import main

QUIET = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}
LARGEST = {1: 1000, 2: 70, 3: 12}


def maybe(name, values):
    """--name with one of the values, or nothing."""
    return st.one_of(st.just([]), st.sampled_from([[name, str(value)] for value in values]))


smoothers = st.one_of(
    st.tuples(st.sampled_from(list(FAMILIES)), st.sampled_from([1, 2, 3, 4, 7])).map(
        lambda t: ["--family", t[0], "--degree", str(t[1])]
    ),
    st.sampled_from(list(SMOOTHERS)).map(lambda name: ["--smoother", name]),
)
problems = st.sampled_from(list(PROBLEMS)).flatmap(
    lambda name: st.integers(1, LARGEST[PROBLEMS[name].dim]).map(
        lambda n: (["--problem", name], ["--n", str(n)])
    )
)
counts = st.tuples(
    maybe("--pre", range(3)),
    maybe("--post", range(3)),
    maybe("--coarsening", ["galerkin", "rediscretise"]),
)


def ends_well(*words, allowed=(0, 1, 2)):
    """Runs the command with groups of words and --json."""
    out, err, flat = io.StringIO(), io.StringIO(), [*itertools.chain(*words), "--json"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(flat)
    lines = err.getvalue().splitlines()
    assert status in allowed, (flat, lines)
    assert len(lines) == (status > 0), (flat, lines)
    assert (
        isinstance(json.loads(out.getvalue()), dict)
        if status == 0
        else status == 1 or not out.getvalue()
    )


@settings(max_examples=80, **QUIET)
@given(
    problems,
    smoothers,
    counts,
    st.tuples(
        maybe("--boundary", ["neumann", "periodic"]),
        maybe("--cycle", ["W", "F", "FMG"]),
        maybe("--backend", ["stencil", "torch"]),
        maybe("--krylov", ["cg", "minres", "gmres"]),
    ),
)
def test_solve(problem, smoother, around, options):
    ends_well(["solve"], *problem, smoother, *around, *options, ["--maxiter", "8"])


@pytest.fixture
def few_samples(monkeypatch):
    """Half the frequencies an axis, few more for high degrees, and short searches between them: the
    run is compared with those of its own grid."""
    monkeypatch.setattr(factor, "SAMPLES", {dim: n // 2 for dim, n in factor.SAMPLES.items()})
    monkeypatch.setattr(factor, "MOST", 2**12)
    monkeypatch.setattr(supremum, "STEPS", 1)
    monkeypatch.setattr(supremum, "REPEATS", 1)


@pytest.mark.usefixtures("few_samples")
@settings(max_examples=20, **QUIET)
@given(
    problems,
    smoothers,
    counts,
    maybe("--restriction", ["half", "injection"]),
    maybe("--cycle", ["W"]),
)
def test_lfa(problem, smoother, around, restriction, cycle):
    """The run confirms the prediction: status 1 would say that it does not."""
    grid = {1: "32", 2: "16", 3: "6"}[PROBLEMS[problem[0][1]].dim]
    ends_well(
        ["lfa"],
        problem[0],
        smoother,
        *around,
        restriction,
        cycle,
        ["--verify", "--n", grid],
        allowed=(0, 2),
    )


@settings(max_examples=60, **QUIET)
@given(
    st.sampled_from(list(FAMILIES)),
    st.integers(1, 12),
    st.one_of(
        problems.map(lambda p: [*p[0], *p[1]]),
        st.floats(-300, 300).map(lambda e: ["--lmax", str(10**e)]),
        st.tuples(st.floats(-100, 100), st.floats(1e-3, 10)).map(
            lambda t: ["--interval", str(10 ** t[0]), str(10 ** (t[0] + t[1]))]
        ),
    ),
)
def test_derive(family, degree, source):
    ends_well(["derive", "--family", family, "--degree", str(degree)], source)
