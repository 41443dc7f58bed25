"""What is exported means, to each engine, the polynomial that was derived; PETSc's own residual
norms are those of our hierarchy."""

import json
import re
import sys
import types
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import partial

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp
from pyamg.relaxation.smoothing import change_smoothers

import mgtheory
from mgtheory import Hierarchy, InitialCoefficients, ResidualPolynomial, derive
from mgtheory.derive import versions
from mgtheory.export import PYTHON_PC, kind, predicted
from mgtheory.export.conversion import Kind
from mgtheory.polynomials.fourthkind import optimised_beta
from mgtheory.problems.catalogue import PROBLEMS, create
from mgtheory.problems.record import operator_record

from ..petsc import ours

T = np.linspace(0.0, 2.0, 41)[1:]  # eigenvalues of D^-1 A
ENDS = (0.5, 2.0)
POISSON = create("poisson2d", n=15)
DIAGONAL = float(POISSON.A.diagonal()[0])


@pytest.fixture(autouse=True)
def unpredicted(monkeypatch):
    """Fourier analysis is most of the time of an export, and tested where it is asked for."""
    monkeypatch.setattr("mgtheory.export.conversion.predicted", lambda q: "")


def words(text, mark="-"):
    """Name -> value of the lines of options, or of calls."""
    lines = [line for line in text.splitlines() if line.startswith(mark)]
    return dict(re.split(r"[ (]", line[len(mark) :].rstrip(");"), maxsplit=1) for line in lines)


# ------------------------------------- the engines, on the 1 x 1 matrix t: what is left of an error


def first(t, a, b, k):
    """Saad's algorithm 12.1."""
    theta, delta = (b + a) / 2, (b - a) / 2
    sigma, x, r = theta / delta, 0 * t, 1 + 0 * t
    rho, d = 1 / sigma, r / theta
    for _ in range(k):
        x, r = x + d, r - t * d
        new = 1 / (2 * sigma - rho)
        d, rho = new * rho * d + 2 * new / delta * r, new
    return 1 - t * x


def fourth(t, b, beta):
    """Lottes' algorithm, its weights given."""
    x, r, d = 0 * t, 1 + 0 * t, 0 * t
    for i, weight in enumerate(beta, start=1):
        d = (2 * i - 3) / (2 * i + 1) * d + (8 * i - 4) / (2 * i + 1) / b * r
        x, r = x + weight * d, r - t * d
    return 1 - t * x


def by_petsc(text, t):
    given = {name.removeprefix("mg_levels_"): value for name, value in words(text).items()}
    k = int(given["ksp_max_it"])
    assert given["ksp_norm_type"] == "none"
    if given["ksp_type"] == "chebyshev":
        assert given["pc_type"] == "jacobi"
        a, b = map(float, given["ksp_chebyshev_eigenvalues"].split(","))
        assert 0 < a < b  # else PETSc refuses them
        beta = {"fourth": np.ones(k), "opt_fourth": optimised_beta(k)}
        way = given["ksp_chebyshev_kind"]
        return first(t, a, b, k) if way == "first" else fourth(t, b, beta[way])
    assert given["ksp_type"] == "richardson"
    if given["pc_type"] == "jacobi":
        return (1 - float(given["ksp_richardson_scale"]) * t) ** k
    assert k == 1
    left = 1 + 0 * t
    if given["pc_type"] == "composite":
        assert given["pc_composite_type"] == "multiplicative"
        for i, _ in enumerate(given["pc_composite_pcs"].split(",")):
            assert given[f"sub_{i}_ksp_pc_type"] == "jacobi"
            assert given[f"sub_{i}_ksp_ksp_max_it"] == "1"
            left = left * (1 - float(given[f"sub_{i}_ksp_ksp_richardson_scale"]) * t)
        return left
    assert given["pc_python_type"] == f"{PYTHON_PC}.Polynomial"
    numbers = list(map(float, given["pc_polynomial_steps"].split(",")))
    for w, p in zip(numbers[::2], numbers[1::2]):
        left = left * (1 - t * (w - p * t))
    return left


def by_hypre(text, t, b):
    """Where its estimates are b/1.1 and 0."""
    calls = words(text, "HYPRE_BoomerAMGSet")
    values = {name: float(value.removeprefix("solver, ")) for name, value in calls.items()}
    assert (values["RelaxType"], values["ChebyScale"], values["ChebyVariant"]) == (16, 1, 0)
    return first(t, values["ChebyFraction"] * b, b, int(values["ChebyOrder"]))


def by_ifpack2(text, t):
    """With its rule that a largest eigenvalue of 1 belongs to a diagonal matrix."""
    given = {p.get("name").removeprefix("chebyshev: "): p for p in ET.fromstring(text)}
    types_ = {"string": str, "int": int, "double": float}
    v = {name: types_[p.get("type")](p.get("value")) for name, p in given.items()}
    k, b = v["degree"], v["max eigenvalue"] * v["boost factor"]
    if v["algorithm"] == "first":
        assert abs(v["max eigenvalue"] - 1) > 1e-6
        assert v["ratio eigenvalue"] >= 1
        return first(t, v["max eigenvalue"] / v["ratio eigenvalue"], b, k)
    return fourth(t, b, optimised_beta(k) if v["algorithm"] == "opt_fourth" else np.ones(k))


SOME = [
    *(("chebyshev", k) for k in (1, 2, 4, 9)),
    *(("chebyshev4", k) for k in (1, 3, 20)),
    *(("chebyshev4_opt", k) for k in (1, 4, 16, 17)),
    *[("richardson", 3), ("mls", 4), ("minimax", 3), ("bounded", 2)],
]


@pytest.mark.parametrize(("family", "degree"), SOME)
def test_the_engines_apply_the_polynomial(family, degree):
    start = derive(family, degree, ENDS)
    expected, of = start.polynomial(T), {"scaling": "diagonal"}
    close = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(by_petsc(start.export("petsc", **of).text, T), expected, **close)
    found = kind(start.polynomial)
    named = found is not None and found.name != "equal"
    assert named == family.startswith(("chebyshev", "minimax")) or degree == 1
    if not named or (found.name == "opt_fourth" and degree > 16):
        with pytest.raises(ValueError, match=r"Ifpack2 has .* export to petsc or pyamg"):
            start.export("trilinos", **of)
    else:
        np.testing.assert_allclose(
            by_ifpack2(start.export("trilinos", **of).text, T), expected, **close
        )
    if found is not None and found.name == "first" and degree <= 4:
        text = start.export("hypre", **of).text
        np.testing.assert_allclose(by_hypre(text, T, ENDS[1]), expected, **close)
    else:
        with pytest.raises(ValueError, match="relaxation 16 is Chebyshev of the first kind"):
            start.export("hypre", **of)


def test_ifpack2_takes_an_end_of_one_for_a_diagonal_matrix():
    start = derive("chebyshev", 3, (0.2, 1.0))
    text = start.export("trilinos", scaling="diagonal").text
    np.testing.assert_allclose(by_ifpack2(text, T), start.polynomial(T), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ours.CASES)
def test_petsc_gets_each_of_its_forms(name):
    start = ours.CASES[name]
    text = start.export("petsc").text
    values = words(text)
    form = {"negative": "composite", "equal": "richardson"}.get(name, name)
    assert form in {values.get(f"mg_levels_{key}", "") for key in ("ksp_type", "pc_type")} | {
        values.get("mg_levels_ksp_chebyshev_kind")
    }
    np.testing.assert_allclose(by_petsc(text, T), ours.converted(start)(T), rtol=1e-11, atol=1e-12)


# --------------------------------------------------------------------------------- PETSc, recorded


@pytest.mark.parametrize("run", ours.RUNS)
def test_petsc_has_the_residual_norms_of_our_hierarchy(run):
    """As `make petsc` recorded them. Sums in another order leave 1e-14 of the first norm, and of
    one that has fallen by 1e-14 three digits."""
    mine, theirs = ours.history(run), ours.recorded()["histories"]
    assert len(mine) == ours.STEPS + 1
    assert mine[-1] < 0.05
    for processes in (1, 2):
        np.testing.assert_allclose(theirs[f"{run} {processes}"], mine, rtol=0, atol=1e-12)
        np.testing.assert_allclose(theirs[f"{run} {processes}"], mine, rtol=0.01)


class Vector:
    """As much of petsc4py's Vec as a smoother needs."""

    def __init__(self, v):
        self.v = np.array(v, dtype=float)

    def reciprocal(self):
        self.v = 1 / self.v

    def duplicate(self):
        return Vector(np.full_like(self.v, np.nan))

    def copy(self, other):
        other.v[:] = self.v

    def set(self, value):
        self.v[:] = value

    def scale(self, a):
        self.v *= a

    def axpy(self, a, x):
        self.v += a * x.v

    def axpby(self, a, b, x):
        self.v[:] = a * x.v + b * self.v

    def pointwiseMult(self, x, y):
        self.v[:] = x.v * y.v


def test_the_pc_in_python_applies_the_polynomial(monkeypatch):
    """With a matrix in the place of PETSc's; `make petsc` runs it in PETSc."""
    start, A = ours.CASES["python"], POISSON.A.toarray() * np.arange(1.0, 3.0, 2 / 225)[:, None]
    made = start.export("petsc")
    steps = list(map(float, words(made.text)["mg_levels_pc_polynomial_steps"].split(",")))
    options = types.SimpleNamespace(getRealArray={"pc_polynomial_steps": steps}.get)
    module = types.SimpleNamespace(PETSc=types.SimpleNamespace(Options=lambda prefix: options))
    monkeypatch.setitem(sys.modules, "petsc4py", module)
    space = {}
    exec(made.beside[f"{PYTHON_PC}.py"], space)
    matrix = types.SimpleNamespace(
        getDiagonal=lambda: Vector(np.diag(A)), mult=lambda x, y: Vector(A @ x.v).copy(y)
    )
    pc = types.SimpleNamespace(getOptionsPrefix=str, getOperators=lambda: (matrix, matrix))
    own, r = space["Polynomial"](), np.random.default_rng(0).standard_normal(len(A))
    own.setFromOptions(pc)
    own.setUp(pc)
    x = Vector(np.nan * r)
    own.apply(pc, Vector(r), x)
    np.testing.assert_allclose(x.v, start.polynomial.apply(A, r, 1 / np.diag(A)), rtol=1e-11)


# ------------------------------------------------------------------------------------------- PyAMG


def residuals(ml, b):
    found = []
    ml.solve(b, maxiter=5, tol=1e-14, residuals=found)
    return np.array(found)


@pytest.mark.parametrize(
    ("family", "degree", "tuple_"),
    [
        ("chebyshev", 3, "chebyshev"),
        ("chebyshev4", 2, "chebyshev"),  # one on another interval
        ("richardson", 3, "jacobi"),
        ("chebyshev4_opt", 3, None),
    ],
)
def test_pyamg_has_the_residual_norms_of_our_polynomial_in_its_cycles(family, degree, tuple_):
    problem = create("poisson2d", n=24)
    b = np.random.default_rng(1).standard_normal(24 * 24)
    start, space = derive(family, degree, problem), {}
    exec(start.export("pyamg").text, space)
    ml = pyamg.ruge_stuben_solver(problem.A.tocsr(), max_coarse=10)
    q = start.polynomial.scaled(1 / problem.A.diagonal()[0]).of(None)

    def ours(polynomial, *, scaled):
        """With a function of ours on every level."""
        for level in ml.levels[:-1]:
            B = 1 / level.A.diagonal() if scaled else None
            own = partial(polynomial(level.A).smooth, B=B)

            def smooth(A, x, b, own=own):
                x[:] = own(A, x, b)

            level.presmoother = level.postsmoother = smooth
        return residuals(ml, b)

    expected = ours(lambda A: q, scaled=True)
    close = {"rtol": 0, "atol": 1e-12 * expected[0]}
    assert expected[-1] < 1e-3 * expected[0]
    np.testing.assert_allclose(residuals(space["attach"](ml), b), expected, **close)
    # without lmax: PyAMG's estimate of it on the level, which it keeps
    expected = ours(lambda A: q.scaled(space["rho_D_inv_A"](A) / 2), scaled=True)
    np.testing.assert_allclose(residuals(space["attach"](ml, None), b), expected, **close)
    assert space.get("SMOOTHER", (None,))[0] == tuple_
    if tuple_:
        end = pyamg.util.linalg.approximate_spectral_radius
        expected = (  # Chebyshev's is one of A, up to PyAMG's estimate
            ours(lambda A: q.scaled(end(A) / 2), scaled=False)
            if tuple_ == "chebyshev"
            else ours(lambda A: q, scaled=True)
        )
        change_smoothers(ml, space["SMOOTHER"], space["SMOOTHER"])
        np.testing.assert_allclose(residuals(ml, b), expected, **close)


def test_pyamg_takes_pairs_and_columns():
    start, space = ours.CASES["python"], {}
    exec(start.export("pyamg").text, space)
    A, b = POISSON.A.tocsr(), np.arange(225.0)[:, None] % 7
    B, upper = 1 / A.diagonal(), start.operator.upper
    for lmax, factor in (((), 1.0), ((None,), space["rho_D_inv_A"](A) / upper)):
        x = np.ones_like(b)
        space["smoother_of"](A, *lmax)(A, x, b)
        q = start.polynomial.scaled(factor)
        np.testing.assert_allclose(x, q.smooth(A, np.ones_like(b), b, B), rtol=1e-11)
    assert space["attach"](types.SimpleNamespace(levels=[])).symmetric_smoothing  # cg may take it


def test_roots_at_infinity_cost_no_product():
    start = ours.by_hand(1.8, np.inf, 0.7, 0.2)
    text = start.export("petsc").text
    assert words(text)["mg_levels_pc_composite_pcs"] == "ksp,ksp,ksp"
    np.testing.assert_allclose(by_petsc(text, T), start.polynomial(T), rtol=1e-11)


# ----------------------------------------------------------- which operator, and what is said of it


@pytest.mark.parametrize("name", [n for n, entry in PROBLEMS.items() if "jump" not in n])
def test_roots_are_those_of_the_inverse_diagonal_times_A(name):
    problem = create(name, n=7)
    start = derive("mls", 4, problem)
    scales = [
        float(value)
        for key, value in words(start.export("petsc").text).items()
        if key.endswith("richardson_scale")
    ]
    D = problem.A.diagonal()[0] if start.operator.scaling == "identity" else 1.0
    np.testing.assert_allclose(scales, D * start.weights.real, rtol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_a_matrix_with_a_constant_diagonal_is_a_multiple_of_its_scaled_one(tmp_path, scale):
    """Of no grid, and of ghost points, which are no stencil: what was derived for A itself goes as
    what was derived for D^-1 A, from a file too, and from one that has no diagonal not at all."""
    A = scale * POISSON.A
    K = np.diag([2.0] * 9) - np.diag([1.0] * 8, 1) - np.diag([1.0] * 8, -1)
    K[0, 1] = K[-1, -2] = -2.0
    ghosts = scale * sp.csr_array(sp.kron(K, sp.eye_array(9)) + sp.kron(sp.eye_array(9), K))
    level = Hierarchy.build(ghosts, shape=(9, 9), boundary="neumann").levels[0]
    path = tmp_path / "init.json"
    for of in (A, level):
        own, scaled = (derive("chebyshev4", 3, of, scaling=B) for B in ("identity", "diagonal"))
        own.save(path)
        for start in (own, InitialCoefficients.load(path)):
            made, expected = start.export("petsc").text, scaled.export("petsc").text
            roots = [
                np.array(re.search(r"roots +(.*) \(of D", text)[1].split(), float)
                for text in (made, expected)
            ]
            np.testing.assert_allclose(*roots, rtol=1e-6)
        assert own.operator.times(2.0).diagonal == pytest.approx(2.0 * own.operator.diagonal)
    older = json.loads(path.read_text())
    del older["operator"]["diagonal"]
    path.write_text(json.dumps(older))
    with pytest.raises(ValueError, match=r"B = I, and the engines apply D\^-1 A, another oper"):
        InitialCoefficients.load(path).export("petsc")
    varying = A + sp.diags_array(np.linspace(0.0, scale, 225))
    assert derive("chebyshev4", 3, varying).operator.diagonal is None
    assert derive("harmonic_ritz", 3, sp.csr_array(-A)).operator.diagonal is None


def test_the_head_says_what_must_be_known(monkeypatch):
    monkeypatch.setattr("mgtheory.export.conversion.predicted", predicted)
    text = derive("chebyshev4", 2, POISSON).export("petsc").text
    head = " ".join(text.replace("#", " ").split())
    for fact in (
        "chebyshev4, degree 2: products with A in one smoothing",
        "poisson2d, 15 x 15, dirichlet (A, eigenvalues up to 2048)",
        f"arXiv 2202.08830; polymgnet {versions()['polymgnet']}",
        "B D^-1, the inverse diagonal of A",
        "lmax 2.0 of D^-1 A (the symbol, exact)",
        "smoothing factor 0.25, two grids with one smoothing before and one after 0.1222",
        "(local Fourier analysis, coarse operators rediscretised)",
        "whose spectrum must end at lmax there too",
    ):
        assert fact in head
    wind = derive("minimax", 2, create("convection2d", 15)).export("pyamg").text
    assert "coarse operators R A P" in wind
    neumann = derive("chebyshev4", 2, create("poisson2d", n=15, boundary="neumann"))
    assert "Beside a Neumann boundary the diagonal" in neumann.export("petsc").text
    one = derive("chebyshev", 2, (0.5, 2.0)).export("petsc", scaling="diagonal").text
    assert "max |q| 0.2195 on [0.5, 2]" in one
    hypre = derive("chebyshev", 2, (0.5, 2.0)).export("hypre", scaling="diagonal").text
    said = "[0.5, 2], for which the polynomial was made, where the estimates are 1.818 and about 0"
    assert said in " ".join(hypre.replace(" * ", " ").split())
    assert words(hypre, "HYPRE_BoomerAMGSet")["NumSweeps"] == "solver, 1"
    mls = derive("mls", 4, 2.0).export("petsc", scaling="diagonal").text
    assert "and for no KSP of a level" in " ".join(mls.replace("#", " ").split())
    assert "C/(C + 8)" in derive("chebyshev4", 2, 2.0).export("petsc", scaling="diagonal").text


def test_lmax_stretches_the_polynomial_to_another_end(monkeypatch):
    monkeypatch.setattr("mgtheory.export.conversion.predicted", predicted)
    start = derive("chebyshev", 2, POISSON)
    text = start.export("petsc", lmax=1.5).text
    stretched = start.polynomial(DIAGONAL * T * 2 / 1.5)
    np.testing.assert_allclose(by_petsc(text, T), stretched, rtol=1e-11)
    assert "smoothing factor" not in text  # of another operator, whose stencil is not known
    assert f"lmax        1.5 of D^-1 A (given; roots times {1.5 / 2048:.6g})" in text
    cloud = derive("minimax", 2, [2.0, 1 + 1j, 1 - 1j]).export("pyamg", lmax=4.0).text
    assert "its spectrum is not known to be real and positive" in cloud
    assert "made for [" not in cloud


def test_a_known_kind_is_found_whatever_made_it():
    q = mgtheory.polynomials.classical
    assert kind(q.chebyshev(5, interval=(1, 3))).upper == pytest.approx(3, rel=1e-13)
    for degree, way in ((16, "chebyshev"), (17, "richardson")):  # PETSc's table ends there
        text = derive("chebyshev4_opt", degree, POISSON).export("petsc").text
        assert words(text)["mg_levels_ksp_type"] == way
    one = derive("chebyshev", 1, (0.5, 2.0)).polynomial  # any interval with its centre would do
    assert kind(one, "chebyshev") == Kind("first", 0.5, 2.0)
    for bare in (ResidualPolynomial([4.0]), ResidualPolynomial([0.9]).of(one.operator)):
        r = bare.roots[0].real  # beside b = 2 none with the centre 0.9 is positive
        assert kind(bare, "chebyshev") == Kind("first", r / 2, pytest.approx(1.5 * r))
    assert kind(q.chebyshev4(7, lmax=3)).name == "fourth"
    assert kind(q.chebyshev4_opt(7, lmax=3)).upper == pytest.approx(3, rel=1e-13)
    assert kind(derive("chebyshev4", 3, 2.0, amplification=1.5).polynomial).name == "fourth"
    assert kind(ResidualPolynomial([2.0, 1.0 + 1e-9])).name == "first"  # every pair of roots is
    roots = q.chebyshev(5, interval=(1, 3)).roots.real * [1, 1, 1, 1, 1 + 1e-9]
    assert kind(ResidualPolynomial(roots)) is None
    assert kind(ResidualPolynomial([2.0, -1.0])) is None
    assert kind(ResidualPolynomial([2.0, np.inf])) is None
    assert kind(ResidualPolynomial([1j, -1j])) is None


def test_text_from_a_file_stays_within_the_comment():
    """Names and formulas come from files of others."""
    nasty = 'x\n-ksp_type preonly\r\n*/ --> """\x0c-a b\x00\x1b[31m\ud800'
    q = derive("chebyshev", 2, POISSON).polynomial
    start = InitialCoefficients(q, nasty, {"formula": nasty, "versions": [nasty]})
    plain = derive("chebyshev", 2, POISSON)
    assert words(start.export("petsc").text) == words(plain.export("petsc").text)
    assert start.export("hypre").text.count("*/") == 1
    assert all(c.isprintable() for line in start.export("pyamg").text.split("\n") for c in line)
    with pytest.raises(ValueError, match="is none") as error:
        InitialCoefficients(ours.CASES["composite"].polynomial, nasty, {}).export("hypre")
    assert "\n" not in str(error.value)
    np.testing.assert_allclose(by_ifpack2(start.export("trilinos").text, T), q(DIAGONAL * T))
    space = {}
    exec(start.export("pyamg").text, space)
    assert space["SMOOTHER"][1]["degree"] == 2


def test_what_cannot_be_said_is_refused():
    start = derive("chebyshev4", 2, POISSON)
    jump = derive("chebyshev4", 2, create("jump2d", n=15), scaling="identity")
    matrix = derive("chebyshev4", 2, create("jump2d", n=15).A)
    level = operator_record((0.0, 3.0))
    for of, to, options, message in (
        (start, "ginkgo", {}, "unknown engine 'ginkgo', allowed are petsc, hypre, trilinos, pyamg"),
        (start, "petsc", {"scaling": "identity"}, "scaling is 'identity', the engines apply"),
        (start, "petsc", {"lmax": 0}, "lmax is 0, must be a number larger than 0"),
        (derive("chebyshev4", 2, 2.0), "petsc", {}, "of which BA is not said"),
        (matrix, "petsc", {}, "B = I, and the engines apply D\\^-1 A, another operator"),
        (jump, "pyamg", {}, "B = I, and the engines apply D\\^-1 A, another operator"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            of.export(to, **options)
        assert "\n" not in str(error.value)
    idle = InitialCoefficients(ResidualPolynomial([np.inf]).of(level), "learned", {})
    with pytest.raises(ValueError, match="this polynomial does nothing"):
        idle.export("petsc", lmax=2.0)
    with pytest.raises(ValueError, match="no record of its operator"):
        mgtheory.export.export(ResidualPolynomial([1.0]), "petsc")
    minus = replace(start.operator, form=tuple((at, -v) for at, v in start.operator.form))
    with pytest.raises(ValueError, match="is not positive: change the sign of A first"):
        InitialCoefficients(start.polynomial.of(minus), "learned", {}).export("petsc")


def test_files_are_saved_with_what_they_need(tmp_path):
    files = ours.CASES["python"].export("petsc").save(tmp_path / "smoother.petsc")
    assert [file.name for file in files] == ["smoother.petsc", "polymgnet_pc.py"]
    assert "polymgnet_pc.Polynomial" in files[0].read_text()
    with pytest.raises(ValueError, match="needs another name"):  # one would overwrite the other
        ours.CASES["python"].export("petsc").save(tmp_path / "new" / "polymgnet_pc.py")
    assert not (tmp_path / "new").exists()
