"""A matrix of the user's own in the place of a model problem: the same numbers as the problem has,
and files that hold no such matrix, refused in one line before they take memory."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from mgtheory import Hierarchy, Problem, compare_smoothers, derive, poisson, solve
from mgtheory.problems import create
from polymgnet import matrices
from polymgnet.commands.lfa import _inside as inside

N = 15
GRID = ("--shape", f"{N}x{N}")
COMMANDS = {
    "solve": (),
    "derive": ("--family", "chebyshev", "--degree", "2"),
    "lfa": (),
    "compare-smoothers": ("--family", "chebyshev", "--degrees", "2", "--repeats", "1"),
}


@pytest.fixture
def files(tmp_path):
    """One matrix in both formats, one without a constant stencil, and a right-hand side."""
    A = create("poisson2d", N).A
    scipy.io.mmwrite(tmp_path / "p.mtx", A.tocoo(), symmetry="symmetric")
    sp.save_npz(tmp_path / "p.npz", A)
    sp.save_npz(tmp_path / "jump.npz", create("jump2d", N).A)
    np.save(tmp_path / "b.npy", create("poisson2d", N).b)
    scipy.io.mmwrite(tmp_path / "b.mtx", create("poisson2d", N).b[:, None])
    return tmp_path


@pytest.fixture
def alone(monkeypatch):
    """Families without the classical smoothers beside them, which take most of the time."""
    monkeypatch.setattr("mgtheory.comparison.compare.SMOOTHERS", {})


@pytest.mark.parametrize("kind", ["mtx", "npz"])
def test_solve(document, files, kind):
    """x of the problem with its right-hand side; without one, of a u that is known."""
    b = files / ("b.mtx" if kind == "mtx" else "b.npy")
    words = ("--matrix", files / f"p.{kind}", *GRID)
    found = document("solve", *words, "--rhs", b, "--out", files / "x.npy", "--tol", "1e-11")
    problem = create("poisson2d", N)
    expected = sp.linalg.spsolve(problem.A.tocsc(), problem.b)
    np.testing.assert_allclose(np.load(files / "x.npy"), expected, rtol=1e-9)
    assert (found["shape"], found["unknowns"], found["error"]) == ([N, N], N * N, None)
    assert document("solve", *words, "--tol", "1e-10", "--krylov", "cg")["error"] < 1e-8


def test_the_boundary_is_that_of_the_matrix(document, refused, files, alone):
    """Unless one is named: a Neumann matrix left 0.8 of the error in each cycle, taken for zero
    values, with a warning."""
    A = poisson((64, 64), boundary="neumann").A
    sp.save_npz(files / "free.npz", A)
    words = ("--matrix", files / "free.npz", "--shape", "64x64")
    found = document("solve", *words)
    assert (found["boundary"], found["warnings"]) == ("neumann", [])
    assert found["iterations"] <= 9
    few = ("--family", "chebyshev", "--degrees", "2", "--repeats", "1")
    found = document("compare-smoothers", *words, *few)
    assert (found["boundary"], found["doubts"]) == ("neumann", [])
    assert found["rows"][0]["measured_factor"] < 0.1
    assert document("solve", "--matrix", files / "p.npz", *GRID)["boundary"] == "dirichlet"
    graph = ("--matrix", files / "p.npz", "--coarsening", "pyamg")
    assert document("solve", *graph)["boundary"] is None
    assert document("solve", *graph, *GRID)["boundary"] is None
    for option in (("--boundary", "neumann"), ("--axes", "x")):
        said = refused("solve", *graph, *GRID, *option)
        assert f"{option[0][2:]} beside --coarsening pyamg" in said
    assert document("compare-smoothers", *graph, *few)["boundary"] is None


def test_a_right_hand_side_with_few_entries(document, refused, files):
    """A sparse vector; its empty rows were taken for those of A."""
    words = ("solve", "--matrix", files / "p.npz", *GRID, "--tol", "1e-11", "--out")
    b = np.zeros((N * N, 1))
    b[7] = 3.0
    for name, form in (("sparse", sp.coo_array), ("dense", np.asarray)):
        scipy.io.mmwrite(files / f"{name}.mtx", form(b))
        document(*words, files / f"{name}.npy", "--rhs", files / f"{name}.mtx")
    np.testing.assert_array_equal(*(np.load(files / f"{k}.npy") for k in ("sparse", "dense")))
    scipy.io.mmwrite(files / "wide.mtx", sp.coo_array(np.hstack([b, b])))
    said = refused(*words, files / "x.npy", "--rhs", files / "wide.mtx")
    assert "it is 225 x 2, must be 225 x 1" in said


def test_derive_from_the_grid_or_from_the_matrix_alone(document, files):
    problem = create("jump2d", N)
    words = ("derive", "--degree", "2", "--matrix", files / "jump.npz", "--family")
    found = document(*words, "chebyshev", *GRID)
    level = Hierarchy.build(problem.A, shape=problem.shape).levels[0]
    np.testing.assert_allclose(found["interval"], level.operator_record().interval)
    found = document(*words, "chebyshev4")
    assert found["interval"][1] == pytest.approx(derive("chebyshev4", 2, problem.A).interval[1])
    known = document("derive", "--family", "minimax", "--degree", "2", "--problem", "poisson2d",
                     "--n", N)  # fmt: skip
    twin = document("derive", "--family", "minimax", "--degree", "2", "--matrix",
                    files / "p.mtx", *GRID)  # fmt: skip
    np.testing.assert_allclose(twin["roots"], known["roots"])
    # what is made for a cycle is made for that of a matrix, with R A P
    found = document("derive", "--family", "two_grid_optimal", "--degree", "2", "--matrix",
                     files / "p.mtx", *GRID)  # fmt: skip
    galerkin = derive("two_grid_optimal", 2, create("poisson2d", N), coarsening="galerkin")
    roots = np.array(found["roots"])[:, 0]
    np.testing.assert_allclose(roots, galerkin.roots.real, rtol=1e-3)


def test_lfa_reads_the_stencil(document, refused, files):
    """Of any boundary; the factors are those of the model problem, with the R A P of solve."""
    found = document("lfa", "--matrix", files / "p.npz", *GRID)
    assert found["smoothing_factor"] == pytest.approx(0.2195, abs=5e-5)
    assert found["two_grid_factor"] == pytest.approx(0.08673, abs=5e-6)
    assert found["problem"] == str(files / "p.npz")
    assert "not one stencil at all points" in refused("lfa", "--matrix", files / "jump.npz", *GRID)
    for boundary in ("neumann", "periodic"):
        problem = create("poisson2d", 16, boundary=boundary)
        stencil = inside(problem.A, problem.shape).stencil
        np.testing.assert_allclose(stencil.to_array(), problem.stencil.to_array(), rtol=1e-12)


def test_lfa_reads_the_stencil_between_any_ends(document, tmp_path):
    """Ghost points on one axis, zero values and cells on the other: 1/h^2 times the Laplacian."""
    free, mixed = (2.0 * np.eye(9) - np.eye(9, k=1) - np.eye(9, k=-1) for _ in range(2))
    free[0, 1] = free[-1, -2] = -2.0
    mixed[-1, -1] = 1.0
    A = 64.0 * (sp.kron(free, sp.eye_array(9)) + sp.kron(sp.eye_array(9), mixed))
    sp.save_npz(tmp_path / "A.npz", sp.csr_array(A))
    found = document("lfa", "--matrix", tmp_path / "A.npz", "--shape", "9x9")
    model = document("lfa", "--n", 8, "--coarsening", "galerkin")
    for name in ("roots", "smoothing_factor", "two_grid_factor", "three_grid_factor"):
        np.testing.assert_allclose(found[name], model[name], rtol=1e-9)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize("kind", ["rows", "unknowns", "unit", "opposite"])
def test_lfa_reads_the_stencil_beside_scales(boundary, kind):
    """Of D S, D S D and -D S D it is that of D^-1 A in like units; they were refused."""
    problem = create("poisson2d", 32, boundary=boundary)
    S, d = problem.A, np.exp(np.random.default_rng(0).uniform(-1.0, 1.0, 32**2))
    u = S.diagonal() ** -0.5
    one, two = {"rows": (d, d**0), "unknowns": (d, d), "unit": (u, u), "opposite": (-d, d)}[kind]
    found = inside(sp.csr_array(one[:, None] * S * two), problem.shape).stencil
    expected = problem.stencil.to_array() / problem.stencil.diagonal.item()
    np.testing.assert_allclose(found.to_array(), expected, atol=1e-6)


def test_compare_predicts_where_it_can_and_measures_what_solve_does(document, files, alone):
    words = ("--family", "chebyshev", "--degrees", "2", "--repeats", "1")
    found = document("compare-smoothers", "--matrix", files / "p.npz", *GRID, *words)
    same = compare_smoothers(
        create("poisson2d", N), families=["chebyshev"], degrees=[2], coarsening="galerkin",
        repeats=1,
    ).rows[0]  # fmt: skip
    row = found["rows"][0]
    for name in ("two_grid_factor", "measured_factor", "work_units", "gamma", "bound"):
        assert row[name] == pytest.approx(getattr(same, name), rel=1e-6)
    jump = create("jump2d", N).A
    asked = {"families": ["chebyshev"], "degrees": [2], "repeats": 1}
    row = compare_smoothers(jump, shape=(N, N), **asked).rows[0]
    assert row.smoothing_factor is None
    assert 0.05 < row.measured_factor < 0.2


def test_a_bare_matrix_in_python(alone):
    problem = poisson((N, N))
    x = solve(problem.A, b=problem.b, shape=problem.shape).x
    np.testing.assert_allclose(problem.A @ x, problem.b, atol=1e-6 * np.abs(problem.b).max())
    with pytest.raises(ValueError, match="needs its right-hand side"):
        solve(problem.A, shape=problem.shape)
    other = np.random.default_rng(0).standard_normal(N * N)
    found = solve(problem, b=other, tol=1e-10).x
    np.testing.assert_allclose(problem.A @ found, other, atol=1e-7)
    neumann = Problem.from_stencil([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], (16, 16),
                                   boundary="neumann")  # fmt: skip
    row = compare_smoothers(neumann.A, shape=(16, 16), boundary="neumann", degrees=[2],
                            families=["chebyshev"], repeats=1).rows[0]  # fmt: skip
    assert row.measured_factor < 0.2


def test_a_wrong_grid_is_told_once(run, files, alone):
    """Above the levels, with the result and on stderr it was one sentence three times."""
    wrong = ("--matrix", files / "p.npz", "--shape", N * N)
    said = "A does not couple neighbours"
    found = run("solve", *wrong, "--levels", "--maxiter", 2)
    assert found.status == 1
    assert found.out.count(said) == 1
    assert said not in found.err
    assert "maxiter: residual" in found.err
    assert said in run("solve", *wrong, "--maxiter", 2, "--json").err
    few = ("--family", "chebyshev4", "--degrees", 2, "--repeats", 1)
    assert run("compare-smoothers", *wrong, *few).out.count(said) == 1
    assert run("derive", "--family", "chebyshev4", "--degree", 2, *wrong).out.count(said) == 1
    assert "warning" not in run("compare-smoothers", "--matrix", files / "p.npz", *GRID, *few).out


@pytest.mark.parametrize("command", COMMANDS)
def test_options_that_exclude_each_other(refused, files, command):
    words = (command, *COMMANDS[command])
    for option, value in (("--problem", "poisson2d"), ("--n", "15")):
        said = refused(*words, "--matrix", files / "p.npz", *GRID, option, value)
        assert "--matrix" in said
        assert option in said
    assert "--shape" in refused(*words, *GRID)
    if command != "derive":
        said = refused(*words, "--matrix", files / "p.npz")
        assert "needs --shape" in said
        assert ("--coarsening pyamg" in said) == (command != "lfa")
    for shape in ("15", "15x", "-1x15", "0x225", "15x15x15x15", "1" * 5000):
        refused(*words, "--matrix", files / "p.npz", "--shape", shape)


def test_options_of_solve(refused, files):
    words = ("solve", "--matrix", files / "p.npz", *GRID)
    assert "--backend sparse" in refused(*words, "--backend", "torch")
    assert "belongs" in refused("solve", "--rhs", files / "b.npy")
    np.save(files / "short.npy", np.ones(7))
    np.save(files / "nan.npy", np.full(N * N, np.nan))
    np.save(files / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in ("short.npy", "nan.npy", "objects.npy", "p.npz", "missing.npy"):
        assert name in refused(*words, "--rhs", files / name)
    assert ".npy" in refused(*words, "--out", files / "x.txt")


class Opens:
    """What a pickle runs when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def archive(**arrays):
    """The bytes of an .npz."""
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def parts(**other):
    """What save_npz writes of the identity, some of it changed."""
    A = sp.eye_array(4, format="csr")
    known = {"format": b"csr", "shape": A.shape, "data": A.data, "indices": A.indices}
    return archive(**(known | {"indptr": A.indptr} | other))


MARKET = "%%MatrixMarket matrix coordinate real general\n"
HOSTILE = {
    "text.mtx": b"not a matrix",
    "empty.mtx": b"",
    "short.mtx": (MARKET + "4 4 4\n1 1 1\n2 2 1\n").encode(),
    "promises.mtx": (MARKET + "4 4 999999999999\n1 1 1\n").encode(),
    "tall.mtx": (MARKET + "999999999999 999999999999 1\n1 1 1\n").encode(),
    "dense.mtx": b"%%MatrixMarket matrix array real general\n99999999 99999999\n1\n",
    "beyond.mtx": (MARKET + "2 2 2\n1 1 1\n3 3 1\n").encode(),
    "oblong.mtx": (MARKET + "2 3 2\n1 1 1\n2 3 1\n").encode(),
    "nan.mtx": (MARKET + "2 2 2\n1 1 nan\n2 2 1\n").encode(),
    "text.npz": b"not an archive",
    "cut.npz": parts()[:200],
    "nothing.npz": archive(a=np.ones(3)),
    "column.npz": parts(indices=np.array([0, 1, 2, 10**6], dtype=np.int32)),
    "negative.npz": parts(indices=np.array([0, 1, 2, -(10**6)], dtype=np.int32)),
    "pointer.npz": parts(indptr=np.array([0, 1, 2, 3, 10**6], dtype=np.int32)),
    "wide.npz": parts(shape=(4, 10**15)),
    "words.npz": parts(data=np.array(["a", "b", "c", "d"])),
    "kind.npz": parts(format=b"../x"),
    "zero.npz": parts(data=np.zeros(4)),
    "other.txt": b"1 0\n0 1\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(refused, tmp_path, name):
    (tmp_path / name).write_bytes(HOSTILE[name])
    assert name in refused("solve", "--matrix", tmp_path / name, "--shape", "4")


def test_no_pickle_is_read_and_no_bomb_expands(refused, tmp_path, monkeypatch):
    mark, file = tmp_path / "mark", tmp_path / "pickle.npz"
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("format.npy", pickle.dumps(Opens(str(mark))))
        made.writestr("data.npy", pickle.dumps(Opens(str(mark))))
    refused("solve", "--matrix", file, "--shape", "4")
    assert not mark.exists()
    sp.save_npz(tmp_path / "eye.npz", sp.eye_array(4, format="csr"))
    monkeypatch.setattr(matrices, "memory", lambda: 400.0)
    assert "expands to" in refused("solve", "--matrix", tmp_path / "eye.npz", "--shape", "4")
    refused("solve", "--matrix", tmp_path / "missing.mtx", "--shape", "4")
    refused("solve", "--matrix", tmp_path, "--shape", "4")


def test_a_complex_matrix_is_solved(document, refused, tmp_path):
    """As `Hierarchy.build` does; what needs a real spectrum says so."""
    A = create("poisson2d", N).A.astype(complex)
    A = A + 20j * sp.eye_array(N * N)
    scipy.io.mmwrite(tmp_path / "c.mtx", A.tocoo())
    words = ("--matrix", tmp_path / "c.mtx", *GRID)
    found = document("solve", *words)
    assert found["converged"]
    assert found["error"] < 1e-6
    assert "needs" in refused("lfa", *words)


def test_a_matrix_without_a_grid(document, refused, tmp_path):
    """PyAMG's coarse levels need no shape; without PyAMG one line says what to install."""
    order = np.random.default_rng(0).permutation(N * N)
    A = create("poisson2d", N).A[order][:, order]
    sp.save_npz(tmp_path / "graph.npz", A)
    words = ("solve", "--matrix", tmp_path / "graph.npz")
    (said,) = document(*words, *GRID)["warnings"]
    assert "--coarsening pyamg" in said
    said = refused("solve", "--n", "15", "--coarsening", "pyamg")
    assert "--coarsening is pyamg, which belongs to --matrix" in said
    pytest.importorskip("pyamg")
    found = document(*words, "--coarsening", "pyamg", "--krylov", "cg")
    assert found["error"] < 1e-6
    assert found["shape"] == [N * N]
    compared = ("compare-smoothers", *words[1:], "--degrees", "1", "--family", "chebyshev")
    assert document(*compared, "--coarsening", "pyamg")["boundary"] is None  # a graph has no sides
    assert document(*compared, *GRID)["boundary"] == "dirichlet"


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_tiny_matrix_is_solved_without_a_word(run, tmp_path):
    """Of a regular A nothing is asked of x, whose squares overflow: x is b times 1e300."""
    A = sp.csr_array(1e-300 * sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(9, 9)))
    sp.save_npz(tmp_path / "tiny.npz", sp.csr_matrix(A))
    np.save(tmp_path / "b.npy", np.ones(9))
    words = ("--matrix", tmp_path / "tiny.npz", "--shape", "9", "--rhs", tmp_path / "b.npy")
    found = run("solve", *words, "--out", tmp_path / "x.npy")
    assert found.status == 0, found.err
    x = np.load(tmp_path / "x.npy") * 1e-300
    assert x == pytest.approx([0.5 * k * (10 - k) for k in range(1, 10)], rel=1e-8)


def test_a_file_with_all_entries_and_one_without_numbers(document, refused, tmp_path):
    """The dense form of Matrix Market is read; a pattern was taken for a matrix of ones."""
    A = poisson((7, 7)).A
    scipy.io.mmwrite(tmp_path / "all.mtx", A.toarray())
    found = document("solve", "--matrix", tmp_path / "all.mtx", "--shape", "7x7")
    assert (found["error"] < 1e-8, found["warnings"]) == (True, [])
    scipy.io.mmwrite(tmp_path / "pattern.mtx", A.tocoo(), field="pattern")
    said = refused("solve", "--matrix", tmp_path / "pattern.mtx", "--shape", "7x7")
    assert "pattern.mtx cannot be read: it says where entries are, and not what they are" in said


def test_one_unknown_is_told_why_nothing_is_compared(run, tmp_path):
    sp.save_npz(tmp_path / "one.npz", sp.csr_array([[2.0]]))
    words = ("--matrix", tmp_path / "one.npz", "--shape", "1", *COMMANDS["compare-smoothers"])
    said = run("compare-smoothers", *words).err
    assert "chebyshev of degree 2: solved in one cycle" in said
