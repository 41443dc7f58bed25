"""solve: backends, tolerances, Krylov methods, pictures, no convergence, and files of derive."""

import json
import re
from contextlib import nullcontext

import numpy as np
import pytest

from mgtheory import problems
from polymgnet.backends import check_size

SMALL = ("--problem", "poisson2d", "--n", "31")


@pytest.mark.parametrize("backend", ["sparse", "stencil", "torch", "gpu"])
def test_solve_backends(document, backend):
    """Every backend runs the same cycle: as many iterations, the discretisation's error, residuals
    that are true."""
    if backend == "stencil":
        pytest.importorskip("numba")
    words = ("--device", "cpu", "--cycle", "V") if backend == "gpu" else ()
    data = document("solve", *SMALL, "--degree", 2, "--backend", backend, *words, "--tol", "1e-9")
    norms = data["residual_norms"]
    assert data["converged"]
    assert data["iterations"] == len(norms) - 1
    assert norms[-1] <= 1e-9 * norms[0] < norms[-2]
    # h^2 scheme at h = 1/32, smooth solution
    assert data["error"] == pytest.approx(5.3e-4, rel=0.05)
    assert data["setup_seconds"] > 0
    assert data["solve_seconds"] > 0


def test_levels_end_where_they_are_told_to(document, refused):
    """One is solved directly, as refusals of Helmholtz problems advise."""
    words = ("solve", *SMALL, "--levels", "--max-levels")
    for levels in (1, 2, 3):
        data = document(*words, levels)
        assert len(data["levels"]) == levels
        assert (data["iterations"] < 3) == (levels == 1)
    assert "a larger grid or more levels" in refused(*words, 1, "--backend", "torch")
    assert "--max-levels" in refused(*words, 0)


@pytest.mark.parametrize("problem", ["variable2d", "jump2d"])
def test_variable_coefficients_on_a_device(document, problem):
    """As the compiled sweeps solve them, residual by residual."""
    pytest.importorskip("numba")
    words = ("solve", "--problem", problem, "--n", 40, "--tol", "1e-6", "--backend")
    ours, device = document(*words, "stencil"), document(*words, "gpu", "--device", "cpu")
    assert device["converged"]
    assert device["residual_norms"] == pytest.approx(ours["residual_norms"], rel=1e-4)
    if problem == "variable2d":  # the other has no known solution
        assert device["error"] == pytest.approx(ours["error"], rel=1e-4)


def test_compiling_is_said_and_a_document_stays_alone(run, monkeypatch):
    pytest.importorskip("numba")
    from mgtheory.matrixfree.kernels import compiling

    def watched(tell):
        for name in ("sweep", "subtract_product"):
            tell(name)
        return nullcontext()

    monkeypatch.setattr(compiling, "watched", watched)
    words = ("solve", "--problem", "variable2d", "--n", 40, "--backend", "stencil")
    said = run(*words)
    assert said.err.count("compiling the matrix-free kernels") == 1
    assert not run(*words, "--json").err
    monkeypatch.undo()
    assert "compiling" not in run(*words).err  # they are there


def test_solve_takes_the_defaults_of_the_library(document):
    """Without options: the library's own smoother with growing degrees, and its fastest solve."""
    from mgtheory import poisson
    from mgtheory.solving import solve

    data = document("solve", "--n", 63)
    expected = solve(poisson((63, 63)))
    assert data["residual_norms"] == pytest.approx(expected.residual_norms, rel=1e-6)
    assert (data["family"], data["degree"], data["cycle"]) == ("chebyshev", 2, "FMG")
    exact = poisson((63, 63)).exact
    distance = np.linalg.norm(expected.x - exact) / np.linalg.norm(exact)
    assert data["error"] == pytest.approx(distance, rel=1e-2)
    # with a degree it is that one on every level
    other = document("solve", "--n", 63, "--degree", 2)
    assert other["residual_norms"][-1] != data["residual_norms"][-1]


def test_solve_with_an_absolute_tolerance(document):
    norms = document("solve", *SMALL, "--cycle", "V")["residual_norms"]
    data = document("solve", *SMALL, "--cycle", "V", "--tol", 0, "--atol", 1.01 * norms[2])
    assert data["converged"]
    assert data["iterations"] == 2


@pytest.mark.parametrize("method", ["cg", "minres", "gmres"])
def test_solve_krylov(document, method):
    data = document("solve", *SMALL, "--boundary", "neumann", "--krylov", method)
    assert data["converged"]
    assert data["residual_norms"][-1] <= 1e-8 * data["residual_norms"][0]
    assert data["step"] == ("restart of gmres(10)" if method == "gmres" else f"step of {method}")
    assert data["work_units"] > 2 * data["iterations"]  # a cycle and more


def test_solve_full_multigrid_starts_from_the_loads(document):
    """The first pass takes the scheme's right-hand side on every level, not the restricted one."""
    from mgtheory.multigrid.hierarchy import Hierarchy
    from mgtheory.problems.catalogue import create

    problem = create("poisson2d-9point", n=31)
    solve = Hierarchy.build(problem, degree=3, dtype="auto").solve
    right, wrong = (
        solve(problem.b, cycle="FMG", maxiter=1, **extra).residual_norms[1]
        for extra in ({"loads": problem.equation.load}, {})
    )
    data = document(
        "solve", "--problem", "poisson2d-9point", "--n", 31, "--degree", 3, "--cycle", "FMG"
    )
    assert data["residual_norms"][1] == pytest.approx(right, rel=1e-9)
    assert abs(right - wrong) > 0.005 * right


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_solve_draws_its_history(run, refused, tmp_path, suffix):
    """A figure in the format of its name, beside the same table; unchanged when made again, and not
    overwritten unasked."""
    path = tmp_path / f"history.{suffix}"
    words = ("solve", *SMALL, "--plot", path)
    assert "||b - A x||" in run(*words).out
    first = path.read_bytes()
    assert first.startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix])
    assert "--force" in refused(*words)
    assert run(*words, "--krylov", "cg", "--force").status == 0
    assert path.read_bytes() != first
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_solve_draws_a_run_that_failed(run, tmp_path):
    path = tmp_path / "history.svg"
    assert run("solve", *SMALL, "--maxiter", 2, "--plot", path).status == 1
    text = path.read_text()
    for part in (
        "poisson2d, 31 × 31, dirichlet",
        "FMG(1,1), chebyshev of degree 2",
        "tolerance",
        "cycles",
    ):
        assert part in text


def test_solve_refuses_figures_it_cannot_write(refused, tmp_path):
    assert "one of .png, .pdf, .svg" in refused("solve", *SMALL, "--plot", tmp_path / "history.gif")
    assert "does not exist" in refused(
        "solve", *SMALL, "--plot", tmp_path / "missing" / "history.png"
    )
    assert not list(tmp_path.iterdir())


def test_solve_moves_the_bar():
    """From 0 to 100 by digits gained, or by cycles used up where that is further."""
    from polymgnet.commands.solve import Watch

    seen = []
    watch = Watch(lambda done, text: seen.append(done), 1e-8, 10)
    for done, norm in enumerate([5.0, 5e-2, 5e-2, 5e-9, 0.0]):
        watch(done, norm)
    assert seen == [0, 25, 25, 100, 40]


def test_solve_says_why_it_did_not_converge(run):
    result = run("solve", *SMALL, "--maxiter", 2, "--json")
    assert result.status == 1
    assert not json.loads(result.out)["converged"]
    assert result.err.startswith("polymgnet: maxiter: ")
    assert result.err.count("\n") == 1
    assert "--krylov" not in result.err
    slow = ("--problem", "anisotropic2d", "--n", 15, "--axes", "all", "--maxiter", 9)
    assert "a cycle leaves 0.9" in run("solve", *slow).err
    assert "a cycle leaves" not in run("solve", *slow, "--krylov", "cg").err


def test_solve_prints_history(run):
    out = run("solve", *SMALL, "--levels").out
    assert "converged" in out
    assert "||b - A x||" in out
    assert "operator complexity" in out


@pytest.mark.parametrize("width", [44, 60, 80, 120])
def test_levels_fit_the_window(run, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    out = run("solve", *SMALL, "--levels", "--maxiter", 0).out
    assert max(map(len, out.splitlines())) <= width
    for word in ("31x31", "4,681", "chebyshev(2)", "15x15", "1,065", "chebyshev(3)", "7x7", "217"):
        assert word in out.split()


def test_one_sided_smoothing_is_a_cycle(document):
    for words in (("--pre", 0, "--post", 1), ("--pre", 1, "--post", 0)):
        assert document("solve", *SMALL, *words)["converged"]


@pytest.mark.parametrize(
    ("problem", "backend"),
    [("poisson1d", "sparse"), ("poisson2d", "torch"), ("poisson3d", "stencil")],
)
def test_the_largest_size_that_is_named_is_not_refused(problem, backend):
    huge = problems.create(problem, n=10**7 if problem != "poisson1d" else 10**12)
    with pytest.raises(ValueError, match="at most --n") as error:
        check_size(huge, backend)
    most = int(re.search(r"at most --n ([\d,]+)", str(error.value))[1].replace(",", ""))
    check_size(problems.create(problem, n=most), backend)
    with pytest.raises(ValueError, match="at most --n"):
        check_size(problems.create(problem, n=most + 2), backend)


@pytest.mark.parametrize("problem", ["variable2d", "jump2d", "anisotropic2d", "poisson2d"])
def test_a_derived_file_solves_as_its_name_does(run, document, tmp_path, problem):
    """derive, then solve --init: as many cycles as --family, also on another grid."""
    path = tmp_path / "init.json"
    named = ("--family", "chebyshev4", "--degree", 3)
    assert run("derive", *named, "--problem", problem, "--n", 31, "--out", path).status == 0
    for n in (31, 63):
        words = ("solve", "--problem", problem, "--n", n)
        by_name, by_file = document(*words, *named), document(*words, "--init", path)
        assert by_file["iterations"] == by_name["iterations"] < 20


def test_a_file_for_another_operator_is_refused_with_both(run, refused, tmp_path):
    path = tmp_path / "init.json"
    run("derive", "--family", "chebyshev4", "--degree", 3, "--lmax", 8, "--out", path)
    said = refused("solve", *SMALL, "--init", path)
    assert "a spectrum in (0, 8]" in said
    assert "31 x 31" in said
