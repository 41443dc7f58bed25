"""derive, lfa, solve and compare-smoothers: the numbers of theory, one JSON document, and help that
names the registries."""

import json
import math
import re
from contextlib import nullcontext

import numpy as np
import pytest
import scipy.sparse

import mgtheory
from mgtheory import problems
from mgtheory.comparison import approximation
from mgtheory.families import FAMILIES, NEEDS
from mgtheory.problems.catalogue import PROBLEMS
from mgtheory.problems.problem import Problem
from polymgnet.commands import COMMANDS
from polymgnet.solving import check_size

SMALL = ("--problem", "poisson2d", "--n", "31")


@pytest.fixture
def polynomials_alone(monkeypatch):
    """compare-smoothers without the classical smoothers, whose rows take most of its time."""
    monkeypatch.setattr("mgtheory.comparison.SMOOTHERS", {})


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(run, command):
    result = run(command, "--help")
    assert result.status == 0
    assert "Usage: polymgnet " + command in result.out
    assert "--json" in result.out
    assert not set("{}") & set(result.out)
    assert not re.search(r"<\w+[\[>]", result.out)  # a type of Python's, as <list[Path]>
    assert run(command, "-h").out == result.out


def test_help_lists_every_command(run):
    out = run("--help").out
    assert all(name in out for name in COMMANDS)
    assert "<bool>" not in out
    assert "143 stopped by SIGTERM" in " ".join(out.split())
    assert run().out == out


def test_help_names_the_registries(run):
    out = " ".join(run("derive", "--help").out.replace("│", " ").split())
    assert ", ".join(FAMILIES) in out
    assert ", ".join(PROBLEMS) in out


def test_help_says_how_a_run_ends_and_starts(run):
    """The exit status of signals where training may be stopped; which A the theory's assumptions
    hold for."""
    for command in ("train", "study", "demo"):
        text = " ".join(run(command, "--help").out.split())
        assert "143 (SIGTERM)" in text
        assert "130 interrupted" in text.replace("│ ", "")
    text = " ".join(run("train", "--help").out.replace("│", " ").split())
    assert "init.operator=laplacian" in text
    assert "random, laplacian, shifted, keep" in text


def test_config_shows_every_key_and_prints_a_file(run, document, tmp_path):
    """What --json prints is a configuration with the same values; the tables name the registries
    and the value that --set gave."""
    data = document("config", "fast", "--set", "lr=0.2")
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(data))
    assert document("config", path) == data
    assert data["optim"]["lr"] == 0.2
    assert data["train"]["precision"] == "bf16"
    out = run("config", "fast", "--set", "lr=0.2").out
    assert {f"{section}.{key}" for section, keys in data.items() for key in keys} <= set(
        out.split()
    )
    assert "optim.lr                0.2 " in out
    assert "0 <= x < 1" in out
    assert "preact_resnet18" in out
    assert "relu_outside_nobn" in out


def test_the_shell_completes_commands_and_options(run, monkeypatch):
    monkeypatch.setenv("_POLYMGNET_COMPLETE", "complete_bash")
    for words, index, expected in (
        ("polymgnet e", 1, ["evaluate", "export"]),
        ("polymgnet train --res", 2, ["--resume"]),
        ("polymgnet export --to o", 3, ["onnx"]),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(index))
        assert run().out.split() == expected


def test_version(run):
    from polymgnet import __version__

    assert run("--version").out == f"polymgnet {__version__}\n"


def test_derive_chebyshev(document):
    """The oracle on [1, 2], k = 3: ascending coefficients of q are [1, -2.12121212, 1.45454545,
    -0.32323232]."""
    data = document("derive", "--family", "chebyshev", "--degree", 3, "--interval", 1, 2)
    roots = np.array([complex(*pair) for pair in data["roots"]])
    q = np.poly1d(np.poly(1 / roots)).coef.real  # prod (s - 1/r), descending in s = ascending in t
    np.testing.assert_allclose(q, [1, -2.12121212, 1.45454545, -0.32323232], atol=1e-8)
    weights = np.array([complex(*pair) for pair in data["weights"]])
    np.testing.assert_allclose(weights * roots, 1, rtol=1e-14)
    assert (data["family"], data["degree"], data["interval"]) == ("chebyshev", 3, [1.0, 2.0])


def test_derive_gamma_of_the_fourth_kind(document):
    """1/gamma = (4/3) k (k + 1)."""
    assert document("derive", "--family", "chebyshev4", "--degree", 3, "--lmax", 8)[
        "gamma"
    ] == pytest.approx(1 / 16, rel=1e-9)


def test_derive_defaults_to_poisson2d(document):
    data = document("derive", "--family", "chebyshev4", "--degree", 2)
    assert data["operator"]["name"] == "poisson2d, 63 x 63, dirichlet"
    assert (data["operator"]["scaling"], data["operator"]["axes"]) == ("identity", [0, 1])
    # the end of the symbol; the 63 x 63 grid's own largest eigenvalue is 0.06 % below it
    assert data["interval"][1] == pytest.approx(8 * 64**2, rel=1e-12)


def test_derive_writes_what_load_reads(run, refused, tmp_path):
    path = tmp_path / "init.json"
    assert run("derive", "--family", "chebyshev4_opt", "--degree", 3, "--out", path).status == 0
    before = path.read_bytes()
    assert mgtheory.InitialCoefficients.load(path).family == "chebyshev4_opt"
    assert "--force" in refused("derive", "--family", "chebyshev", "--degree", 2, "--out", path)
    assert path.read_bytes() == before
    assert (
        run("derive", "--family", "chebyshev", "--degree", 2, "--out", path, "--force").status == 0
    )
    assert mgtheory.InitialCoefficients.load(path).family == "chebyshev"


def test_derive_from_points(document, tmp_path):
    """The best q of degree 1 on the circle |z - 2| = 1 has the root 2 and the maximum 1/2."""
    angles = 2 * np.pi * np.arange(48) / 48
    path = tmp_path / "circle.csv"
    np.savetxt(path, np.column_stack([2 + np.cos(angles), np.sin(angles)]), delimiter=",")
    data = document("derive", "--family", "minimax", "--degree", 1, "--points", path)
    assert complex(*data["roots"][0]) == pytest.approx(2.0, abs=1e-3)


def test_complex_points_have_no_interval_and_no_gamma(run, document, tmp_path):
    """Of 1, 3 and 2 ± i: the set, its largest modulus and max |q|, by hand; gamma and the V-cycle
    bound are for positive definite A."""
    path = tmp_path / "points.txt"
    path.write_text("1 0\n3 0\n2 1\n2 -1\n")
    words = ("derive", "--family", "minimax", "--degree", 1, "--points", path)
    data = document(*words)
    assert data["interval"] is None
    assert data["gamma"] is None
    found = dict(data["points"])
    assert found.pop("largest_q") == pytest.approx(
        max(abs(1 - z / complex(*data["roots"][0])) for z in (1, 3, 2 + 1j, 2 - 1j))
    )
    assert found == {"count": 4, "real": [1, 3], "imaginary": [-1, 1], "largest_modulus": 3}
    out = run(*words).out
    assert "4 points, real parts 1 to 3, imaginary parts -1 to 1, moduli up to 3" in out
    assert "max |q|" in out
    assert "gamma" not in out


@pytest.mark.parametrize(("text", "definite"), [("1\n2\n3\n", True), ("-1\n2\n3\n", False)])
def test_real_points(document, tmp_path, text, definite):
    path = tmp_path / "points.txt"
    path.write_text(text)
    data = document("derive", "--family", "minimax", "--degree", 2, "--points", path)
    assert (data["gamma"] is not None, "points" not in data, data["interval"] == [1, 3]) == (
        definite,
    ) * 3


def test_derive_takes_an_amplification(tmp_path, document):
    path = tmp_path / "points.txt"
    path.write_text("1\n0 1\n0 -1\n-1\n")
    words = ("derive", "--family", "chebyshev4", "--degree", 8, "--points", path)
    data = document(*words, "--amplification", 3)
    assert data["points"]["largest_q"] == pytest.approx(3)
    assert data["provenance"]["options"] == {"amplification": 3.0}
    assert data["provenance"]["result"]["scale"] < 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_derive_says_what_a_family_needs(run, refused, family, tmp_path):
    """A source that has not what the family needs is refused with both; every other is taken."""
    usable = {
        "interval": {"--interval"},
        "lmax": {"--interval", "--lmax", "--points"},
        "operator": set(),
        "points": {"--interval", "--points"},
        "radius": {"--interval", "--lmax", "--points"},
        "problem": set(),
    }
    needs = FAMILIES[family].needs
    path = tmp_path / "points.txt"
    path.write_text("1\n2\n3\n4\n5\n6\n")
    for option, values in {"--interval": (1, 2), "--lmax": (2,), "--points": (path,)}.items():
        words = ("derive", "--family", family, "--degree", 4, option, *values)
        if option in usable[needs] or (needs == "interval" and option == "--points"):
            assert run(*words).status == 0, words
        else:
            said = refused(*words)
            assert f"{family} cannot be derived from " in said
            assert NEEDS[needs].sources in said


@pytest.mark.parametrize(("degree", "mu"), [(1, 2 / 3), (2, 0.25), (3, 0.233)])
def test_lfa_smoothing_factor(document, degree, mu):
    data = document("lfa", "--family", "chebyshev4", "--degree", degree)
    assert data["smoothing_factor"] == pytest.approx(mu, abs=5e-4)
    assert 0 < data["two_grid_factor"] < 1


def test_lfa_verify_agrees(document):
    run = document("lfa", "--family", "chebyshev", "--degree", 2, "--verify", "--n", 32)[
        "verification"
    ]
    assert run["agree"]
    assert run["measured"] == pytest.approx(run["predicted"], rel=0.01)


@pytest.mark.parametrize(
    ("options", "factor"), [(("--restriction", "half"), 0.125), (("--restriction", "full"), 0.074)]
)
def test_lfa_red_black(document, options, factor):
    data = document("lfa", "--smoother", "red-black", "--coarsening", "rediscretise", *options)
    assert data["two_grid_factor"] == pytest.approx(factor, abs=5e-4)


def test_lfa_takes_derived_coefficients(run, document, tmp_path):
    """Derived on another grid, moved to the infinite one: the fourth kind is the fourth kind."""
    path = tmp_path / "init.json"
    run("derive", "--family", "chebyshev4", "--degree", 2, "--out", path)
    assert document("lfa", "--init", path)["smoothing_factor"] == pytest.approx(0.25, abs=1e-9)


def test_lfa_and_solve_take_and_refuse_the_same_files(run, document, refused, tmp_path):
    """An interval's polynomial belongs to one scale: 8/h^2 with h = 1/64, not to mesh width 1."""
    fits, small = tmp_path / "fits.json", tmp_path / "small.json"
    run("derive", "--family", "chebyshev4", "--degree", 2, "--lmax", 8 * 64**2, "--out", fits)
    run("derive", "--family", "chebyshev4", "--degree", 2, "--lmax", 8, "--out", small)
    assert document("solve", "--n", 63, "--init", fits)["iterations"] <= 9
    predicted = document("lfa", "--n", 64, "--init", fits)
    assert predicted["smoothing_factor"] == pytest.approx(0.25, abs=1e-9)
    for words in (["solve", "--n", 63], ["lfa"], ["lfa", "--n", 128]):
        assert "amplifies" in refused(*words, "--init", small)
    assert "amplifies" in refused("lfa", "--n", 128, "--init", fits)


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


def test_derive_takes_the_scaling_that_its_refusals_name(document, run, refused, tmp_path):
    """D^-1 A of the Poisson problem is A h^2/4; an interval is of whichever B is said."""
    words = ("derive", "--family", "chebyshev4", "--degree", 2)
    plain, scaled = (
        document(*words, "--n", 31, "--scaling", kind) for kind in ("identity", "diagonal")
    )
    assert scaled["operator"]["scaling"] == "diagonal"
    quarter = 4 * 32**2
    assert plain["interval"] == pytest.approx([quarter * end for end in scaled["interval"]])
    varying = (*words, "--problem", "variable2d", "--n", 31)
    identity = document(*varying, "--scaling", "identity")["operator"]
    assert (identity["scaling"], identity["upper"] > 1e4) == ("identity", True)
    assert document(*varying)["operator"]["scaling"] == "diagonal"
    init, out = tmp_path / "init.json", tmp_path / "smoother.petsc"
    document(*words, "--interval", 0.5, 2, "--out", init)
    assert "of which BA is not said" in refused("export", init, "--to", "petsc", "--out", out)
    document(*words, "--interval", 0.5, 2, "--scaling", "diagonal", "--out", init, "--force")
    assert run("export", init, "--to", "petsc", "--out", out).status == 0
    assert "auto, identity, diagonal" in refused(*words, "--scaling", "jacobi")


def test_what_is_derived_for_a_matrix_names_its_file(document, refused, run, tmp_path):
    """Constant or not, with its grid or without: the record, refusals and exported files."""
    words = ("derive", "--family", "chebyshev4", "--degree", 2, "--matrix")
    out, init = tmp_path / "a.petsc", tmp_path / "init.json"
    for name in ("poisson2d", "variable2d"):
        A = problems.create(name, n=15).A
        scipy.sparse.save_npz(path := tmp_path / f"{name}.npz", A)
        for grid, size in ((("--shape", "15x15"), "15 x 15"), ((), "225 rows")):
            given = (*words, path, *grid, "--scaling", "diagonal")
            operator = document(*given, "--out", init, "--force")["operator"]
            assert operator["name"] == f"{name}.npz, {size}"
            assert operator["scaling"] == "diagonal"
            assert operator["upper"] == pytest.approx(2, rel=0.2)
            run("export", init, "--to", "petsc", "--out", out, "--force")
            assert f"# made for    {name}.npz, {size}" in out.read_text()
    line = refused("derive", "--family", "chebyshev", "--degree", 2, "--matrix", path)
    assert "--shape" in line
    assert "variable2d.npz" in line


def test_compare_smoothers(document):
    data = document("compare-smoothers", *SMALL, "--degrees", "1,3", "--repeats", 1)
    rows = {(row["family"], row["degree"]): row for row in data["rows"]}
    assert {family for family, _ in rows} >= set(FAMILIES) | {"jacobi", "gauss_seidel", "red_black"}
    chebyshev = rows["chebyshev", 3]
    assert chebyshev["smoothing_factor"] == pytest.approx(0.0740, abs=1e-4)
    assert 1 / rows["chebyshev4", 3]["gamma"] == pytest.approx(16.0)
    assert rows["jacobi", 1]["two_grid_factor"] == pytest.approx(0.36, abs=1e-6)
    assert chebyshev["measured_factor"] < chebyshev["bound"] < 1
    assert "3d + 1" in rows["mls", 3]["refused"]
    for row in rows.values():
        assert row["refused"] or row["seconds_per_digit"] == pytest.approx(
            row["seconds_per_cycle"] / -math.log10(row["measured_factor"])
        )
    assert data["winner"]["seconds_per_digit"] == min(
        row["seconds_per_digit"] for row in rows.values() if not row["refused"]
    )
    assert any(
        "degree 3: chebyshev4_opt loses in two-grid factor" in line
        for line in data["optimised_fourth_kind_loses"]
    )


def test_compare_smoothers_says_what_the_bound_is(run):
    """Which C, and of which norm, under the table and in the help; nothing of it where there is no
    bound."""
    words = ("compare-smoothers", *SMALL, "--degrees", 1, "--family", "chebyshev4", "--repeats", 1)
    out = run(*words).out
    assert "C/(C + 1/gamma) with C = 4, the approximation constant" in out
    assert "energy norm" in out
    assert "C = " not in run(*words, "--pre", 2).out
    text = " ".join(run("compare-smoothers", "--help").out.replace("│", " ").split())
    assert "C / (C + 1/gamma) holds for the energy norm of the error" in text
    assert "4 for the 5-point stencil" in text


def test_compare_smoothers_takes_the_coarse_operator(polynomials_alone, document):
    """Chebyshev of degree 2: two-grid factor 0.1207 rediscretised, 0.0867 with Galerkin."""
    found = {}
    for rule in ("rediscretise", "galerkin"):
        data = document(
            "compare-smoothers",
            *SMALL,
            "--degrees",
            2,
            "--family",
            "chebyshev",
            "--repeats",
            1,
            "--coarsening",
            rule,
        )
        found[rule] = data["rows"][0]
    assert found["rediscretise"]["two_grid_factor"] == pytest.approx(0.1207, abs=1e-4)
    assert found["galerkin"]["two_grid_factor"] == pytest.approx(0.0867, abs=1e-4)
    assert found["galerkin"]["measured_factor"] < 0.8 * found["rediscretise"]["measured_factor"]


def test_compare_smoothers_measures_nothing(run):
    """No table without a row: the reasons, and exit status 1."""
    result = run(
        "compare-smoothers",
        *SMALL,
        "--degrees",
        1,
        "--family",
        "chebyshev4",
        "--repeats",
        1,
        "--n",
        2,
    )
    assert result.status == 1
    assert "two-grid" not in result.out
    assert result.out.count("left out: ") == 5  # the polynomial and the four of SMOOTHERS
    assert "one cycle" in result.err


def test_compare_smoothers_bound(polynomials_alone, document):
    """C = 2 in 1D and for the finite elements, 4 for the 5-point stencil; bound = C/(C + 1/gamma)
    with 1/gamma = 8/3."""
    for problem, constant in (("poisson1d", 2), ("poisson2d-q1", 2), ("poisson2d", 4)):
        words = (
            "--problem",
            problem,
            "--n",
            127,
            "--degrees",
            1,
            "--family",
            "chebyshev4",
            "--repeats",
            1,
        )
        data = document("compare-smoothers", *words)
        assert data["approximation_constant"] == pytest.approx(constant, abs=1e-9)
        assert data["rows"][0]["bound"] == pytest.approx(constant / (constant + 8 / 3), abs=1e-6)


def test_compare_smoothers_bounds_what_is_coarsened(polynomials_alone, document):
    """-u_xx - e u_yy coarsened along both axes: C = 2 (1 + 1/e) = 202 on an infinite grid, attained
    at the harmonics (0, pi/2) and (0, -pi/2)."""
    words = ("--problem", "anisotropic2d", "--n", 15, "--degrees", 1, "--family", "chebyshev4")
    for axes, constant in (("auto", 3.8125), ("all", 202)):
        data = document(
            "compare-smoothers", *words, "--axes", axes, "--coarsening", "galerkin", "--repeats", 1
        )
        row = data["rows"][0]
        assert data["approximation_constant"] == pytest.approx(constant, abs=1e-4)
        assert row["bound"] == pytest.approx(constant / (constant + 8 / 3), abs=1e-6)
        assert row["measured_factor"] < row["bound"]


def test_constants_of_stencils_of_ones_own():
    """By the symbol, with a mass too; none where A is negative definite, indefinite or not
    symmetric."""
    laplacian = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]])
    centre, east = np.zeros((2, 3, 3))
    centre[1, 1], east[1, 0] = 1, 1
    found = {
        sign: approximation(Problem.from_stencil(taps, (15, 15)))
        for sign, taps in (
            ("plain", laplacian),
            ("mass", laplacian + 0.1 * centre),
            ("negative", -laplacian),
            ("indefinite", laplacian - 0.1 * centre),
            ("upwind", laplacian + centre - east),
        )
    }
    assert found.pop("plain") == pytest.approx(4, abs=1e-9)
    # the pair (pi/2, 0), (-pi/2, 0), both with 2 of 8, now 2.1 of 8.1
    assert found.pop("mass") == pytest.approx(8.1 / 2.1, abs=1e-9)
    assert set(found.values()) == {None}


@pytest.mark.parametrize(
    ("problem", "n", "backend"),
    [("poisson1d", 31, "sparse"), ("poisson2d", 15, "stencil"), ("poisson3d", 7, "torch")],
)
def test_compare_smoothers_on_a_small_grid(polynomials_alone, document, problem, n, backend):
    """A grid that a solver would treat directly is coarsened twice, so that there is a factor; that
    of two grids, to 30 %."""
    if backend == "stencil":
        pytest.importorskip("numba")
    words = (
        "--problem",
        problem,
        "--n",
        n,
        "--degrees",
        2,
        "--family",
        "chebyshev",
        "--repeats",
        1,
        "--backend",
        backend,
    )
    row = document("compare-smoothers", *words)["rows"][0]
    assert row["measured_factor"] == pytest.approx(row["two_grid_factor"], rel=0.3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--degrees", "4-2"), "4-2 runs downwards; write 2-4"),
        (("--degrees", "1,3-2"), "3-2 runs downwards"),
        (("--degrees", "1,1"), "each once"),
        (("--degrees", ","), "whole numbers such as"),
        (("--family", "chebyshev", "--family", "chebyshev"), "each once"),
    ],
)
def test_compare_smoothers_refuses(refused, options, words):
    assert words in refused("compare-smoothers", *SMALL, *options)


def test_compare_smoothers_without_stencil(polynomials_alone, document):
    """Variable coefficients: measured alone."""
    data = document(
        "compare-smoothers",
        "--problem",
        "variable2d",
        "--n",
        31,
        "--degrees",
        2,
        "--family",
        "chebyshev",
        "--repeats",
        1,
    )
    row = data["rows"][0]
    assert row["two_grid_factor"] is None
    assert 0 < row["measured_factor"] < 1


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


def test_prediction_follows_the_axes_that_the_solver_coarsens(polynomials_alone, run, document):
    """On an anisotropic problem x alone is coarsened, which is said, and the run confirms it; with
    all axes both are poor."""
    problem = ("--problem", "anisotropic2d", "--family", "chebyshev", "--degree", 3)
    said = "x alone coarsened"
    data = document("lfa", *problem, "--verify")
    assert data["axes"] == [0]
    assert said in data["remark"]
    assert data["two_grid_factor"] == pytest.approx(0.04, abs=0.002)
    assert data["verification"]["agree"]
    assert said in run("lfa", *problem).out
    assert said not in run("lfa", "--problem", "poisson2d").out
    every = document("lfa", *problem, "--axes", "all")
    assert every["axes"] == [0, 1]
    assert every["two_grid_factor"] > 0.5
    solved = {
        axes: document("solve", *problem, "--n", 63, "--axes", axes)["iterations"]
        for axes in ("auto", "x", "all")
    }
    assert max(solved["auto"], solved["x"]) < 10 < solved["all"]
    words = ("compare-smoothers", "--problem", "anisotropic2d", "--n", 127, "--degrees", 3)
    row = document(*words, "--family", "chebyshev", "--repeats", 1, "--coarsening", "galerkin")
    assert row["axes"] == [0]
    assert 0 < row["rows"][0]["measured_factor"] < 0.1


@pytest.mark.parametrize("axes", ["w", "xx", "0", "y,x"])
def test_axes_are_letters(refused, axes):
    assert "allowed are auto, all, or letters" in refused("lfa", "--axes", axes)


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


def test_no_smoother_for_a_v_cycle_is_said(run, document, tmp_path):
    """q is small at 1 to 1.2 and at 8, and large between them."""
    path = tmp_path / "points.txt"
    path.write_text("1\n1.1\n1.2\n8\n")
    words = ("derive", "--family", "minimax", "--degree", 3, "--points", path)
    assert document(*words)["gamma"] == "inf"
    assert "no smoother for a V-cycle" in run(*words).out
    assert "no smoother" not in run("derive", "--family", "chebyshev4", "--degree", 3).out
