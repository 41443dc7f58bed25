"""Every family of the registry: degree, normalisation, recurrences, speed, refusals; and each
closed form against its own theory."""

import time

import mpmath
import numpy as np
import pytest
from scipy.special import eval_chebyt

from mgtheory import problems
from mgtheory.families import FAMILIES, get_family
from mgtheory.polynomials import fourthkind
from mgtheory.polynomials.classical import chebyshev, chebyshev4, chebyshev4_opt, mls, richardson
from mgtheory.polynomials.minimax import minimax_report
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.scores import damping_number, gamma, smoothing_number
from mgtheory.spectra.interval import Interval

LMAX = 8.0
OPERATOR = np.diag(np.linspace(0.1, LMAX, 60)) + 0.01 * np.diag(np.ones(59), 1)
SOURCES = {
    "interval": {"interval": (2.0, LMAX)},
    "lmax": {"lmax": LMAX},
    "operator": {"operator": OPERATOR, "start": np.ones(60)},
    "points": {"points": Interval(2.0, LMAX)},
    "radius": {"radius": LMAX},
    "problem": {"problem": problems.create("poisson1d", n=15)},
}
SLOW = {"minimax": 5.0, "two_grid_optimal": 5.0}
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def make(family, degree):
    return family.function(degree, **SOURCES[family.needs])


def first_degrees(family, largest):
    return [k for k in range(1, largest + 1) if family.name != "mls" or (k > 1 and k % 3 == 1)]


@every_family
def test_degree_normalisation_and_round_trip(family):
    for k in first_degrees(family, 7):
        q = make(family, k)
        assert q.degree == k
        assert q(0.0) == 1.0
        assert ResidualPolynomial.from_json(q.to_json()) == q


@every_family
def test_application_equals_the_root_product_at_degree_4(family):
    q = make(family, 4)
    b = np.random.default_rng(0).standard_normal(60)
    scale = np.abs(q.roots).max() / LMAX
    r, product = b - scale * OPERATOR @ q.apply(scale * OPERATOR, b), b
    for w in q.weights:
        product = product - w * (scale * OPERATOR @ product)
    # asked: 1e-12; rounding is near 1e-15
    assert np.linalg.norm(r - product) <= 1e-12 * np.linalg.norm(b)


@every_family
def test_deriving_is_fast(family):  # in processor time, so that a busy machine does not matter
    k = first_degrees(family, 16)[-1]
    make(family, k)  # imports
    seconds = []
    for _ in range(1 if family.name in SLOW else 5):
        fourthkind._optimised_angles.cache_clear()
        start = time.process_time()
        make(family, k)
        seconds.append(time.process_time() - start)
    assert min(seconds) < SLOW.get(family.name, 0.05)


@every_family
@pytest.mark.parametrize("degree", [0, -1, 257, 1000, 2.5, True, "3"])
def test_degrees_out_of_range_are_refused_in_one_line(family, degree):
    with pytest.raises(ValueError, match=r"degree|allows") as error:
        make(family, degree)
    assert "\n" not in str(error.value)
    assert str(degree) in str(error.value)


def test_unknown_family_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"'chebychev', known are richardson, chebyshev, .*two_grid_optimal"
    ):
        get_family("chebychev")


@pytest.mark.parametrize("family", ["richardson", "chebyshev"])
@pytest.mark.parametrize(
    "interval", [(2, 2), (3, 2), (0, 1), (-1, 1), (1, np.inf), (np.nan, 1), (1, 2, 3), 4.0]
)
def test_bad_intervals_are_refused(family, interval):
    with pytest.raises(ValueError, match=rf"^interval is .*{family} needs"):
        FAMILIES[family].function(2, interval=interval)


@pytest.mark.parametrize("family", ["chebyshev4", "chebyshev4_opt", "mls"])
@pytest.mark.parametrize("lmax", [0, -1, np.inf, np.nan, None, "eight"])
def test_bad_lmax_is_refused(family, lmax):
    with pytest.raises(ValueError, match=rf"^lmax is .*{family} needs"):
        FAMILIES[family].function(4, lmax=lmax)


@pytest.mark.parametrize("degree", [1, 2, 3, 5, 6, 8, 255])
def test_mls_refuses_other_degrees(degree):
    with pytest.raises(ValueError, match=rf"degree is {degree}, mls allows 3d \+ 1: 4, 7, 10"):
        mls(degree, lmax=1.0)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_richardson_damps_by_a_power(k):
    q = richardson(k, interval=(2, 8))
    np.testing.assert_allclose(q.roots, 5.0)
    assert damping_number(q, interval=(2, 8)) == pytest.approx(0.6**k, rel=1e-14)


@pytest.mark.parametrize(("a", "b"), [(1, 2), (2, 8), (1e-4, 1)])
@pytest.mark.parametrize("k", [1, 2, 3, 8, 64, 256])
def test_chebyshev_is_the_scaled_chebyshev_polynomial(k, a, b):
    q = chebyshev(k, interval=(a, b))
    t = np.linspace(a, b, 501)
    smallest = 1 / eval_chebyt(k, (b + a) / (b - a))
    expected = eval_chebyt(k, np.clip((b + a - 2 * t) / (b - a), -1, 1)) * smallest
    # k = 256: conditioning k^2 times rounding
    np.testing.assert_allclose(q(t), expected, atol=1e-9 * smallest)
    assert damping_number(q, interval=(a, b)) == pytest.approx(smallest, rel=1e-9)
    assert (
        np.abs(
            1
            - t * q.recurrence.correction(lambda z: t * z, lambda s: s, np.ones_like(t))
            - expected
        ).max()
        <= 1e-12
    )


def test_chebyshev_oracles():
    np.testing.assert_allclose(
        chebyshev(3, interval=(1, 2)).coefficients,
        [1, -2.12121212, 1.45454545, -0.32323232],
        atol=5e-9,
    )
    measured = [damping_number(chebyshev(k, interval=(2, 8)), interval=(2, 8)) for k in (1, 2, 3)]
    np.testing.assert_allclose(measured, [0.6, 9 / 41, 27 / 365], rtol=1e-14)  # 1/T_k(5/3)


@pytest.mark.parametrize("a", [1e-14, 1e-10, 1e-3])
def test_chebyshev_roots_keep_all_digits_at_both_ends(a):
    """a + (1 - a) sin^2(.) against 40 digits, relative to each root: next to a tiny a the plain
    formula has none left."""
    k = 64
    roots = np.sort(chebyshev(k, interval=(a, 1.0)).roots.real)
    with mpmath.workdps(40):
        low = mpmath.mpf(a)
        exact = [
            float(
                (low + 1) / 2 - (1 - low) / 2 * mpmath.cos(mpmath.pi * (i - mpmath.mpf(1) / 2) / k)
            )
            for i in range(1, k + 1)
        ]
    np.testing.assert_allclose(roots, exact, rtol=2e-15)  # a few roundings


def test_chebyshev_is_minimal():
    best = damping_number(chebyshev(3, interval=(2, 8)), interval=(2, 8))
    rng = np.random.default_rng(0)
    for _ in range(50):
        roots = chebyshev(3, interval=(2, 8)).roots * (1 + 1e-3 * rng.standard_normal(3))
        assert damping_number(ResidualPolynomial(roots), interval=(2, 8)) > best


@pytest.mark.parametrize("k", [1, 2, 3, 4, 16, 64])
def test_fourth_kind_is_its_recurrence(k):
    t = np.linspace(0, 1, 401)
    x = 1 - 2 * t
    W = [np.ones_like(x), 2 * x + 1]
    for _ in range(2, k + 1):
        W.append(2 * x * W[-1] - W[-2])
    # W_64 itself has lost two digits
    np.testing.assert_allclose(chebyshev4(k, lmax=LMAX)(LMAX * t), W[k] / (2 * k + 1), atol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 8, 32, 64])
def test_fourth_kind_oracles(k):
    q = chebyshev4(k, lmax=LMAX)
    assert smoothing_number(q, lmax=LMAX, power=2) == pytest.approx(1 / (2 * k + 1) ** 2, rel=1e-12)
    assert 1 / gamma(q, lmax=LMAX) == pytest.approx(4 / 3 * k * (k + 1), rel=1e-12)


def test_fourth_kind_smoothing_factors_of_the_laplacian():
    measured = [damping_number(chebyshev4(k, lmax=8), interval=(2, 8)) for k in (1, 2, 3)]
    np.testing.assert_allclose(measured, [2 / 3, 1 / 4, 0.233], atol=5e-4)


@pytest.mark.parametrize("family", [chebyshev4, chebyshev4_opt])
@pytest.mark.parametrize("k", [2, 4, 9])
def test_fourth_kinds_are_extremal(family, k):
    score = gamma if family is chebyshev4_opt else lambda q: smoothing_number(q, power=2)
    best = score(family(k, lmax=1.0))
    rng = np.random.default_rng(k)
    for _ in range(20):
        roots = family(k, lmax=1.0).roots * np.exp(1e-3 * rng.standard_normal(k))
        assert score(ResidualPolynomial(roots)) > best


@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_mls_is_its_definition(d):
    S, q = chebyshev4(d, lmax=LMAX), mls(3 * d + 1, lmax=LMAX)
    t = np.linspace(0, LMAX, 301)
    expected = (1 - (2 * d + 1) ** 2 / LMAX * t * S(t) ** 2) * S(t)
    np.testing.assert_allclose(q(t), expected, atol=1e-12)
    np.testing.assert_allclose(q(q.roots), 0, atol=1e-13)


@pytest.mark.parametrize("lmax", [1e-290, 1e-6, 1e290])
@pytest.mark.parametrize("degree", [3, 64, 256])
def test_every_scale_of_the_operator(degree, lmax):
    """Roots and recurrence scale with the operator, however small or large it is."""
    for family in (chebyshev4, chebyshev4_opt):
        q, unit = family(degree, lmax=lmax), family(degree, lmax=1.0)
        np.testing.assert_allclose(q.roots, lmax * unit.roots, rtol=1e-12)
        # rounding of the order of the product, at degree 256
        np.testing.assert_allclose(q(0.3 * lmax), unit(0.3), rtol=0, atol=1e-10)
    assert chebyshev(degree, interval=(0.25 * lmax, lmax)).recurrence is not None


def test_recurrences_and_scaling():
    for q in (chebyshev(5, interval=(2, 8)), chebyshev4(5, lmax=8), chebyshev4_opt(5, lmax=8)):
        assert len(q.recurrence.a) == 5
        t = np.linspace(0, 8, 65)
        np.testing.assert_allclose(q.scaled(0.25)(t / 4), q(t), atol=1e-14)
        np.testing.assert_allclose(
            q.scaled(0.25).apply(np.diag(t / 4), np.ones(65)) * t / 4, 1 - q(t), atol=1e-13
        )
    assert richardson(3, interval=(2, 8)).recurrence is None


def test_minimax_is_reachable_by_name():
    q = get_family("minimax").function(3, points=Interval(2, 8))
    np.testing.assert_allclose(
        np.sort(q.roots.real), np.sort(chebyshev(3, interval=(2, 8)).roots.real), rtol=1e-8
    )
    assert minimax_report(3, points=Interval(2, 8)).polynomial == q
