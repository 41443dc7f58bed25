"""gamma with its infinities, the V-cycle bound against dense cycles, smoothing numbers, and the
search for the classical family."""

import math
from functools import partial

import numpy as np
import pytest
import scipy.linalg

from mgtheory import problems
from mgtheory.families import FAMILIES
from mgtheory.multigrid import transfer
from mgtheory.multigrid.approximation import approximation_constant
from mgtheory.polynomials.classical import chebyshev, chebyshev4, chebyshev4_opt, mls, richardson
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.scores import (
    damping_number,
    gamma,
    nearest_families,
    smoothing_number,
    v_cycle_bound,
)

KNOWN = {
    "chebyshev4": (lambda k: chebyshev4(k, lmax=1.0), lambda k: 4 / 3 * k * (k + 1)),
    "richardson": (lambda k: ResidualPolynomial(np.ones(k)), lambda k: 2 * k),
    "optimised": (
        lambda k: chebyshev4_opt(k, lmax=1.0),
        lambda k: {1: 3.0, 2: 5 + 2 * math.sqrt(5)}[k],
    ),
}


@pytest.mark.parametrize("k", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("name", KNOWN)
def test_gamma_oracles(name, k):
    make, inverse = KNOWN[name]
    if name != "optimised" or k <= 2:
        assert 1 / gamma(make(k)) == pytest.approx(inverse(k), rel=1e-11)


@pytest.mark.parametrize(
    "roots",
    [
        [0.7],
        [0.9, 0.6],
        [0.6 + 0.3j, 0.6 - 0.3j],
        [0.6 + 2.4j, 0.6 - 2.4j],
        [0.3, 0.8, 1.5],
        [2.0, 50.0],
        [1.0, np.inf],
    ],
)
def test_gamma_is_the_supremum_on_a_fine_grid(roots):
    q = ResidualPolynomial(roots)
    t = np.linspace(0, 1, 400001)[1:]
    F = t * q(t) ** 2 / (1 - q(t) ** 2)
    assert gamma(q) == pytest.approx(max(F.max(), 1 / (2 * q.weights.real.sum())), rel=1e-8)


def test_gamma_scales_with_lmax():
    q = chebyshev(4, interval=(0.1, 1))
    assert gamma(q.scaled(37.0), lmax=37.0) == pytest.approx(gamma(q), rel=1e-12)


@pytest.mark.parametrize(
    "roots",
    [
        [0.5],  # q(1) = -1
        [0.499],
        [-1.0],  # grows from the start
        [1.0, -1.0],  # q = 1 - t^2 is flat at 0: the limit is infinite
        [1j, -1j],
        [0.1, 0.2],
        [0.2 + 0.9j, 0.2 - 0.9j],  # |q| < 1 at both ends, above 1 between
        [np.inf],
    ],
)
def test_gamma_is_infinite_where_q_does_not_damp(roots):
    assert gamma(ResidualPolynomial(roots)) == math.inf
    assert v_cycle_bound(ResidualPolynomial(roots), constant=2.0) == math.inf


def test_an_underestimated_lmax_is_seen():
    q = chebyshev(3, interval=(2, 8))
    assert math.isfinite(gamma(q, lmax=8.0))
    assert gamma(q, lmax=8.0 * 1.3) == math.inf  # |q| = 1 at 10, by the symmetry of q about 5


def two_level(name, n, levels):
    """Dense A and P of each level, Galerkin, finest first."""
    problem = problems.create(name, n=n)
    A, shape, chain = problem.A.toarray(), problem.shape, []
    for _ in range(levels - 1):
        coarse = tuple(transfer.coarse_size(m, problem.boundary) for m in shape)
        P = transfer.interpolation(shape, coarse, problem.boundary).toarray()
        chain.append((A, P))
        A, shape = P.T @ A @ P, coarse
    return chain, A


def energy_norm(E, A):
    root = scipy.linalg.cholesky(A)
    return np.linalg.norm(root @ E @ np.linalg.inv(root), 2)


def cycle_error(chain, coarsest, make):
    """Error propagation of V(1,1) as a dense matrix, by the recursion E = q(A) (I - P (I - E_c)
    A_c^-1 P^T A) q(A)."""
    if not chain:
        return np.zeros_like(coarsest)
    A, P = chain[0]
    eigenvalues, V = np.linalg.eigh(A)
    Q = (V * make(eigenvalues[-1])(eigenvalues)) @ V.T
    coarse = chain[1][0] if len(chain) > 1 else coarsest
    Ec = cycle_error(chain[1:], coarsest, make)
    correction = P @ (np.eye(len(coarse)) - Ec) @ np.linalg.solve(coarse, P.T @ A)
    return Q @ (np.eye(len(A)) - correction) @ Q


SMOOTHERS = {
    "richardson": lambda k, b: richardson(k, interval=(b / 2, b)),
    "chebyshev": lambda k, b: chebyshev(k, interval=(b / 4, b)),
    "chebyshev4": lambda k, b: chebyshev4(k, lmax=b),
    "chebyshev4_opt": lambda k, b: chebyshev4_opt(k, lmax=b),
}


@pytest.mark.parametrize("name", SMOOTHERS)
@pytest.mark.parametrize(
    ("problem", "n", "levels"),
    [("poisson1d", 31, 2), ("poisson1d", 31, 4), ("poisson2d", 11, 2), ("poisson2d", 11, 3)],
)
def test_the_bound_holds_for_dense_cycles(problem, n, levels, name):
    chain, coarsest = two_level(problem, n, levels)
    constant = max(approximation_constant(A, P) for A, P in chain)
    for k in (1, 2, 4):
        measured = energy_norm(
            cycle_error(chain, coarsest, partial(SMOOTHERS[name], k)), chain[0][0]
        )
        bound = v_cycle_bound(SMOOTHERS[name](k, 1.0), constant=constant)
        assert measured <= bound * (1 + 1e-10)
        assert bound < 1


def test_the_bound_is_sharp_enough_to_mean_something():
    chain, coarsest = two_level("poisson1d", 31, 2)
    measured = energy_norm(
        cycle_error(chain, coarsest, lambda b: chebyshev4_opt(1, lmax=b)), chain[0][0]
    )
    bound = v_cycle_bound(chebyshev4_opt(1, lmax=1.0), constant=approximation_constant(*chain[0]))
    assert bound == pytest.approx(2 / (2 + 3), rel=1e-2)  # C = 2 in 1D, 1/gamma = 3
    assert measured > bound / 4


@pytest.mark.parametrize("k", [1, 2, 5])
def test_smoothing_number_of_richardson(k):
    q = ResidualPolynomial(np.ones(k))
    # max t (1 - t)^k
    assert smoothing_number(q) == pytest.approx(k**k / (k + 1) ** (k + 1), rel=1e-12)
    assert smoothing_number(q.scaled(8.0), lmax=8.0) == pytest.approx(
        smoothing_number(q), rel=1e-12
    )


def test_damping_number_sees_ends_and_interior():
    assert damping_number(ResidualPolynomial([5.0]), interval=(2, 8)) == pytest.approx(0.6)
    # at t = 2
    assert damping_number(ResidualPolynomial([1.0, 3.0]), interval=(1, 3)) == pytest.approx(
        1 / 3, rel=1e-12
    )


PLANTED = [
    ("richardson", 3, richardson(3, interval=(0.5, 0.9)), 0.7),
    ("chebyshev", 4, chebyshev(4, interval=(0.13, 1.0)), 0.13),
    ("chebyshev4", 5, chebyshev4(5, lmax=1.0), None),
    ("chebyshev4_opt", 3, chebyshev4_opt(3, lmax=1.0), None),
    ("mls", 7, mls(7, lmax=1.0), None),
]


@pytest.mark.parametrize(
    ("family", "degree", "q", "fitted"), PLANTED, ids=[entry[0] for entry in PLANTED]
)
@pytest.mark.parametrize("lmax", [1.0, 8.0])
def test_a_planted_family_is_found(family, degree, q, fitted, lmax):
    matches = nearest_families(q.scaled(lmax), lmax=lmax)
    best = matches[0]
    assert (best.family, best.degree) == (family, degree)
    assert best.distance < 1e-6
    assert matches[1].distance > 1e-2
    assert (
        fitted is None
        if best.fitted is None
        else best.fitted == pytest.approx(lmax * fitted, rel=1e-6)
    )
    assert [match.distance for match in matches] == sorted(match.distance for match in matches)
    assert {match.family for match in matches} <= FAMILIES.keys()


@pytest.mark.parametrize(
    ("family", "degree", "q", "fitted"), PLANTED, ids=[entry[0] for entry in PLANTED]
)
def test_a_planted_family_is_found_on_a_disc(family, degree, q, fitted):
    """On the circle |z| = 8 the distance is that of the polynomials' values there, which are far
    larger than on the axis."""
    circle = 8.0 * np.exp(1j * np.linspace(0.0, np.pi, 201))
    best, second = nearest_families(q.scaled(8.0), lmax=8.0, points=circle)[:2]
    assert (best.family, best.degree) == (family, degree)
    size = np.abs(q.scaled(8.0)(circle)).max()
    assert best.distance < 1e-6 * size
    assert fitted is None or best.fitted == pytest.approx(8.0 * fitted, rel=1e-6)
    fixed = {"chebyshev4": chebyshev4, "chebyshev4_opt": chebyshev4_opt, "mls": mls}
    if second.family in fixed:
        other = fixed[second.family](second.degree, lmax=8.0)
    elif second.family == "chebyshev":
        other = chebyshev(second.degree, interval=(second.fitted, 8.0))
    else:
        other = ResidualPolynomial([second.fitted] * second.degree)
    measured = np.abs(other(circle) - q.scaled(8.0)(circle)).max()
    assert second.distance == pytest.approx(measured, rel=1e-9)


def test_padding_with_infinite_roots_does_not_hide_the_family():
    q = ResidualPolynomial(np.append(chebyshev4(2, lmax=1.0).roots, [np.inf, np.inf]))
    best = nearest_families(q)[0]
    assert (best.family, best.degree) == ("chebyshev4", 2)


def test_a_flipped_sign_is_far_from_every_family():
    roots = chebyshev4(3, lmax=1.0).roots.copy()
    roots[0] *= -1
    assert nearest_families(ResidualPolynomial(roots))[0].distance > 0.5


@pytest.mark.parametrize("score", [gamma, smoothing_number, nearest_families])
@pytest.mark.parametrize("lmax", [0.0, -1.0, math.nan, math.inf])
def test_bad_lmax(score, lmax):
    with pytest.raises(ValueError, match=r"^lmax is"):
        score(ResidualPolynomial([1.0]), lmax=lmax)


def test_bad_options():
    q = ResidualPolynomial([1.0])
    with pytest.raises(ValueError, match="constant is 0"):
        v_cycle_bound(q, constant=0.0)
    with pytest.raises(ValueError, match="power is 0"):
        smoothing_number(q, power=0)
    with pytest.raises(ValueError, match="degrees is empty"):
        nearest_families(q, degrees=[])
    with pytest.raises(ValueError, match="points: none given"):
        nearest_families(q, points=[])
    with pytest.raises(ValueError, match=r"points has entries .* entry 1, counted from 0, is nan"):
        nearest_families(q, points=[1.0, math.nan])
    assert v_cycle_bound(q.scaled(2.0), constant=math.inf) == math.inf  # nothing is proved


@pytest.mark.parametrize("k", [134, 200, 256])
def test_high_degrees_are_recognised(k):
    """T_k(99) overflows from degree 134 on: only its ratios may be formed."""
    best = nearest_families(chebyshev(k, interval=(2.0, 8.0)), lmax=8.0, degrees=[k])[0]
    assert (best.family, best.degree) == ("chebyshev", k)
    assert best.distance < 1e-9
    assert best.fitted == pytest.approx(2.0, rel=1e-6)
