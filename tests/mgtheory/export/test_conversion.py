"""Which operator an exported polynomial is for, what is said of it, and what cannot be said."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

import mgtheory
from mgtheory import Hierarchy, InitialCoefficients, ResidualPolynomial, derive
from mgtheory.derive import versions
from mgtheory.export import kind, predicted
from mgtheory.export.conversion import Kind
from mgtheory.problems.catalogue import PROBLEMS, create
from mgtheory.problems.record import operator_record

from ...petsc import ours
from .read import DIAGONAL, POISSON, T, by_ifpack2, by_petsc, words


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
