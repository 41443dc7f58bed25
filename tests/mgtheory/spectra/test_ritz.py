"""Lanczos and Arnoldi estimates: bounds that hold, errors that are true, hard spectra, seeds, and
what is refused."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from mgtheory import problems
from mgtheory.spectra.ritz import LanczosEstimate, arnoldi, lanczos

RNG = np.random.default_rng(0)
Q, _ = np.linalg.qr(RNG.standard_normal((80, 80)))


def symmetric(eigenvalues):
    return (Q * eigenvalues) @ Q.T


SYMMETRIC = {
    "positive": np.linspace(0.1, 8, 80),
    "dominant negative": np.append(np.linspace(0, 3, 79), -10.0),
    "near-singular": np.append(np.linspace(1, 5, 79), 1e-13),
    "singular": np.append(np.linspace(1, 5, 79), 0.0),
    "all negative": -np.linspace(1, 4, 80),
    "clustered at the top": 1 - np.geomspace(1e-8, 1, 80),
}


@pytest.mark.parametrize("eigenvalues", SYMMETRIC.values(), ids=SYMMETRIC)
@pytest.mark.parametrize("steps", [8, 20, 80])
def test_lanczos_encloses_the_spectrum(eigenvalues, steps):
    A = symmetric(eigenvalues)
    result = lanczos(A, steps=steps)
    low, high = eigenvalues.min(), eigenvalues.max()
    rounding = 1e-12 * np.abs(eigenvalues).max()
    assert low - rounding <= result.smallest <= result.largest <= high + rounding
    assert result.lower <= low + rounding
    assert high - rounding <= result.upper
    assert np.abs(eigenvalues).max() <= result.radius + rounding
    # an eigenvalue is that near
    assert np.abs(eigenvalues - result.largest).min() <= result.errors[1] + rounding
    assert np.abs(eigenvalues - result.smallest).min() <= result.errors[0] + rounding
    if steps == 80:
        assert result.converged
        np.testing.assert_allclose((result.smallest, result.largest), (low, high), atol=1e-10)


def test_the_sign_of_the_dominant_eigenvalue_is_seen():
    result = lanczos(symmetric(SYMMETRIC["dominant negative"]), steps=20)
    assert result.smallest == pytest.approx(-10, rel=1e-9)
    assert result.largest < 3.0001
    assert result.radius >= 10
    assert arnoldi(
        symmetric(SYMMETRIC["dominant negative"]), steps=20
    ).dominant.real == pytest.approx(-10, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "n"),
    [("poisson1d", 255), ("poisson2d", 63), ("poisson2d-9point", 63), ("variable2d", 63)],
)
@pytest.mark.parametrize("steps", [10, 20, 30])
def test_upper_bound_of_model_problems_is_close(name, n, steps):
    problem = problems.create(name, n=n)
    b = problem.spectrum().b
    # measured: between 1.01 and 1.031
    assert b <= lanczos(problem.A, steps=steps).upper <= 1.04 * b
    assert lanczos(problem.A, steps=steps).largest <= b * (1 + 1e-12)


@pytest.mark.parametrize("above", [0.01, 0.03, 0.1, 0.3])
@pytest.mark.parametrize("steps", [12, 30])
def test_a_planted_eigenvalue_is_below_the_bound(above, steps):
    """One eigenvalue alone above 2000 others: `upper` is an estimate and may lie below it, the
    bound does so once in a thousand starts."""
    A = sp.diags_array(np.append(np.linspace(0, 1, 1999), 1 + above))
    missed = 0
    for seed in range(40):
        result = lanczos(A, steps=steps, generator=np.random.default_rng(seed))
        assert result.bound() >= 1 + above
        missed += result.upper < 1 + above
    assert (missed > 5) == (steps == 12 and above == 0.03)
    assert result.bound(1e-6) > result.bound() > result.largest


@pytest.mark.parametrize("failure", [0.1, 1e-3])
def test_the_bound_is_that_of_the_theorem(failure):
    """Each end is missed by more than e times the width of the spectrum with the probability 1.648
    sqrt(n) exp(-(2k - 1) sqrt(e)) at most [Kuczynski, Wozniakowski 1992]."""
    found = LanczosEstimate(1.0, 3.0, (0.0, 0.0), 25, True, 1.0, 400)
    beyond = found.bound(failure) - found.largest
    width = found.largest - found.smallest + 2 * beyond  # as far below the smallest
    missed = 1.648 * np.sqrt(400) * np.exp(-(2 * 25 - 1) * np.sqrt(beyond / width))
    assert 2 * missed == pytest.approx(failure, rel=1e-12)


def test_the_bound_closes_in_with_the_steps():
    A = symmetric(SYMMETRIC["positive"])
    bounds = [lanczos(A, steps=steps).bound() for steps in (5, 20, 40, 80)]
    assert bounds[0] == np.inf
    assert bounds[1] > bounds[2] > bounds[3] > 8.0
    assert bounds[3] < 8.1


def test_real_operators_get_real_vectors_alone():
    """A function of one's own that drops the imaginary part, as one of a real network would."""
    A = NONSYMMETRIC["random"]
    given = []

    def matvec(v):
        given.append(np.iscomplexobj(v))
        return A @ np.real(v)

    wrapped = LinearOperator(A.shape, matvec=matvec, dtype=float)
    result = arnoldi(wrapped, steps=80)
    assert abs(result.dominant) == pytest.approx(np.abs(np.linalg.eigvals(A)).max(), rel=1e-8)
    assert result.error < 1e-8
    assert not any(given)


def test_lanczos_with_a_diagonal():
    A = symmetric(SYMMETRIC["positive"])
    B = RNG.uniform(0.1, 3, 80)
    exact = np.linalg.eigvals(B[:, None] * A).real
    result = lanczos(A, B=B, steps=80)
    np.testing.assert_allclose(
        (result.smallest, result.largest), (exact.min(), exact.max()), rtol=1e-9
    )


def test_safety_widens_and_is_recorded():
    A = symmetric(SYMMETRIC["positive"])
    tight, wide = lanczos(A, safety=1.0), lanczos(A, safety=1.2)
    assert wide.upper - tight.upper == pytest.approx(0.2 * tight.largest)
    assert tight.lower - wide.lower == pytest.approx(0.2 * tight.smallest)
    assert wide.safety == 1.2
    assert arnoldi(A, safety=1.2).radius - arnoldi(A, safety=1.0).radius == pytest.approx(
        0.2 * tight.largest, rel=1e-6
    )


def test_convergence_is_reported():
    A = symmetric(np.linspace(0, 1, 80))
    assert not lanczos(A, steps=3).converged
    assert lanczos(A, steps=3, tolerance=1.0).converged
    assert lanczos(A, steps=500).steps == 80
    # one end alone is no convergence: -5 stands apart, and is found at once
    apart = lanczos(symmetric(np.append(-5.0, np.linspace(0, 1, 79))), steps=6, tolerance=1e-4)
    assert apart.errors[0] < 1e-4 * 5 < apart.errors[1]
    assert not apart.converged


@pytest.mark.parametrize("estimate", [lanczos, arnoldi])
def test_starts_are_seeded(estimate):
    A = symmetric(SYMMETRIC["positive"])
    first, again = estimate(A, steps=6), estimate(A, steps=6)
    other = estimate(A, steps=6, generator=np.random.default_rng(5))
    assert first.radius == again.radius
    assert first.radius != other.radius


def test_sparse_and_matrix_free_operators():
    A = symmetric(SYMMETRIC["positive"])
    wrapped = LinearOperator(A.shape, matvec=lambda v: A @ v, dtype=float)
    for estimate in (lanczos, arnoldi):
        assert estimate(wrapped).radius == pytest.approx(estimate(A).radius, rel=1e-12)
        assert estimate(sp.csr_array(A)).radius == pytest.approx(estimate(A).radius, rel=1e-10)


def test_hermitian_operators():
    X = RNG.standard_normal((40, 40)) + 1j * RNG.standard_normal((40, 40))
    H = X + X.conj().T
    result = lanczos(H, steps=40)
    exact = np.linalg.eigvalsh(H)
    np.testing.assert_allclose((result.smallest, result.largest), (exact[0], exact[-1]), rtol=1e-10)


NONSYMMETRIC = {
    "random": RNG.standard_normal((80, 80)) / np.sqrt(80),
    "rotation": np.kron(np.diag(np.linspace(0.5, 2, 40)), [[0.6, 0.8], [-0.8, 0.6]]),
    "complex": RNG.standard_normal((80, 80)) + 1j * RNG.standard_normal((80, 80)),
    "negative": np.triu(0.1 * RNG.standard_normal((80, 80)), 1)
    + np.diag(np.append(np.linspace(0, 1, 79), -3)),
}


@pytest.mark.parametrize("A", NONSYMMETRIC.values(), ids=NONSYMMETRIC)
def test_arnoldi_finds_the_outermost_eigenvalue(A):
    exact = np.linalg.eigvals(A)
    result = arnoldi(A, steps=80)
    assert abs(result.dominant) == pytest.approx(np.abs(exact).max(), rel=1e-8)
    assert np.abs(exact - result.dominant).min() < 1e-8 * abs(result.dominant)
    assert result.converged
    early = arnoldi(A, steps=20)
    v_error = early.error
    # backward error: never below
    assert v_error >= np.linalg.svd(A - early.dominant * np.eye(80), compute_uv=False)[-1] * (
        1 - 1e-9
    )
    assert np.all(np.diff(np.abs(early.values)) <= 0)


def test_a_non_normal_operator_hides_its_eigenvalues_behind_a_small_error():
    n = 40
    # eigenvalues at most 0.5, pseudospectra out to 4
    A = np.diag(np.linspace(0.1, 0.5, n)) + 4 * np.eye(n, k=1)
    result = arnoldi(A, steps=39)
    assert result.error < 0.05
    assert abs(result.dominant) > 3  # no eigenvalue of A, but one of A + E with ||E|| = error
    assert np.linalg.svd(A - result.dominant * np.eye(n), compute_uv=False)[-1] <= result.error
    assert result.radius > 0.5  # an overestimate, on the safe side


def test_the_radius_adds_the_margin_and_the_error():
    A = np.diag(np.linspace(0.1, 0.5, 40)) + 4 * np.eye(40, k=1)
    result = arnoldi(A, steps=10, safety=1.5)
    assert result.error > 0
    assert result.radius == pytest.approx(1.5 * abs(result.dominant) + result.error, rel=1e-14)


@pytest.mark.parametrize("size", [1e-290, 1e-200, 1e200, 1e290])
def test_estimates_scale_with_the_operator(size):
    A = symmetric(SYMMETRIC["dominant negative"])
    unit, moved = lanczos(A, steps=8), lanczos(size * A, steps=8)
    np.testing.assert_allclose(
        (moved.lower / size, moved.upper / size), (unit.lower, unit.upper), rtol=1e-12
    )
    np.testing.assert_allclose(np.array(moved.errors) / size, unit.errors, rtol=1e-9)
    assert moved.converged == unit.converged
    radius, values = arnoldi(size * A, steps=8).radius, arnoldi(size * A, steps=8).values
    assert radius / size == pytest.approx(arnoldi(A, steps=8).radius, rel=1e-12)
    np.testing.assert_allclose(values / size, arnoldi(A, steps=8).values, rtol=1e-9)


def test_the_zero_operator_has_the_spectrum_zero():
    assert lanczos(np.zeros((5, 5))).radius == 0.0
    assert arnoldi(np.zeros((5, 5))).radius == 0.0


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"not symmetric.*use arnoldi"):
        lanczos(NONSYMMETRIC["random"])
    with pytest.raises(ValueError, match="must be square"):
        arnoldi(np.ones((2, 3)))
    with pytest.raises(ValueError, match="positive diagonal"):
        lanczos(np.eye(3), B=np.array([1.0, -1.0, 1.0]))
    for name, value, allowed in (
        ("steps", 0, "whole number from 1"),
        ("tolerance", 0.0, "larger than 0"),
        ("safety", 0.9, "from 1 on"),
    ):
        with pytest.raises(ValueError, match=f"{name} is {value}, must be a .*{allowed}"):
            lanczos(np.eye(3), **{name: value})
    for failure in (0.0, 1.0, 1e12):  # its logarithm would change its sign, and the square not
        with pytest.raises(ValueError, match=r"failure is .*, must be a number"):
            lanczos(np.eye(3)).bound(failure)
