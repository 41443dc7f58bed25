"""Minimax polynomials against known answers (interval, two intervals, disc, ellipse), their lower
bounds, and refused sets."""

import time

import numpy as np
import pytest
import scipy.sparse

from mgtheory.derive import derive
from mgtheory.polynomials import minimax as module
from mgtheory.polynomials.classical import chebyshev
from mgtheory.polynomials.minimax import MAX_EXCHANGE_DEGREE, _exchange, minimax, minimax_report
from mgtheory.polynomials.peaks import angular_grid
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.spectra.interval import Interval

PHI = 2 * np.pi * np.arange(400) / 400


def T(k, x):
    return np.cosh(k * np.arccosh(x))


def ellipse(centre, along, across, phi=PHI):
    return centre + along * np.cos(phi) + 1j * across * np.sin(phi)


def outlying(*points):
    return np.append(np.linspace(1, 2, 200), points)


def chebyshev_on_ellipse(k, z, centre, along, across):
    """max |T_k((c - z)/f)/T_k(c/f)|, f the distance of the foci, which is imaginary for a tall
    ellipse."""
    f = np.sqrt(complex(along**2 - across**2))
    return np.abs(
        np.cosh(k * np.arccosh((centre - z) / f)) / np.cosh(k * np.arccosh(centre / f))
    ).max()


@pytest.mark.parametrize(("a", "b"), [(1, 2), (2, 8), (0.01, 1)])
@pytest.mark.parametrize("k", [1, 2, 3, 8, 16])
def test_the_exchange_finds_chebyshev_on_an_interval(k, a, b):
    """The method for any set, on the set where the answer is known."""
    result = _exchange(k, (Interval(a, b),), angular_grid(a, b, k).astype(complex))
    assert result.converged
    assert result.value == pytest.approx(1 / T(k, (b + a) / (b - a)), rel=1e-9)
    np.testing.assert_allclose(
        np.sort(result.polynomial.roots), np.sort(chebyshev(k, interval=(a, b)).roots), rtol=1e-6
    )
    closed = minimax_report(k, points=Interval(a, b))
    assert (closed.value, closed.lower) == (pytest.approx(result.value, rel=1e-9),) * 2


@pytest.mark.parametrize("k", [1, 4, 64, 256])
@pytest.mark.parametrize(("a", "b"), [(2, 8), (-8, -2), (1e-3, 1)])
def test_one_interval_is_closed_form_at_every_degree(k, a, b):
    result = minimax_report(k, points=Interval(a, b))
    near, far = min(abs(a), abs(b)), max(abs(a), abs(b))
    assert result.exchanges == 0
    assert result.value == pytest.approx(1 / T(k, (far + near) / (far - near)), rel=1e-12)
    t = np.linspace(a, b, 4001)
    # the grid misses maxima by a little
    assert np.abs(result.polynomial(t)).max() == pytest.approx(result.value, rel=2e-3)
    x = np.ones_like(t)
    by_recurrence = x - t * result.polynomial.apply(scipy.sparse.diags_array(t), x)
    np.testing.assert_allclose(by_recurrence, result.polynomial(t), rtol=0, atol=1e-13)


def test_touching_intervals_are_one():
    whole = minimax(5, points=Interval(2, 8))
    assert minimax(5, points=[Interval(5, 8), Interval(2, 5)]) == whole
    assert minimax(5, points=[Interval(2, 7), Interval(3, 4), Interval(6, 8)]) == whole
    apart = [Interval(2, 4), Interval(6.5, 8)]  # without the extremal points 4.07 and 5.93
    assert (
        minimax_report(5, points=apart).value
        < 0.95 * minimax_report(5, points=Interval(2, 8)).value
    )


SETS = {
    "interval": Interval(1, 3),
    "intervals": [Interval(-2, -1), Interval(0.5, 3)],
    "points": np.linspace(1, 3, 40),
    "negative points": -np.linspace(1, 3, 40),
    "disc": 2 + np.exp(1j * PHI[::8]),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("scale", [1e-290, 1e-200, 1e-140, 1e140, 1e200, 1e290])
def test_scaling_the_set_scales_the_roots(name, scale):
    if name == "disc" and not 1e-145 < scale < 1e145:
        with pytest.raises(
            ValueError, match=r"complex weight has modulus .* allowed are 1e-150 to 1e.150"
        ):
            minimax(4, points=scale * SETS[name])  # 1/(a^2 + b^2) is no double
        return

    def scaled(part):
        return part.scaled(scale) if isinstance(part, Interval) else scale * part

    points = SETS[name]
    moved = [scaled(part) for part in points] if isinstance(points, list) else scaled(points)
    unit, result = minimax_report(4, points=points), minimax_report(4, points=moved)
    # two runs of the exchange, each to 1e-9
    assert result.value == pytest.approx(unit.value, rel=1e-8)
    if name != "disc":  # there a fourfold root: known to a quarter of the digits
        np.testing.assert_allclose(
            np.sort(result.polynomial.roots / scale), np.sort(unit.polynomial.roots), rtol=1e-6
        )


@pytest.mark.parametrize(
    "points",
    [SETS["disc"], SETS["intervals"], np.linspace(1, 2, 400)],
    ids=["disc", "intervals", "points"],
)
def test_high_degrees_need_a_single_interval(points):
    with pytest.raises(
        ValueError,
        match=(
            rf"degree is 65, minimax allows 1 to {MAX_EXCHANGE_DEGREE} on points .*\(1 to 256 on"
            r" one\)"
        ),
    ):
        minimax(65, points=points)


def test_the_highest_degree_on_other_sets():
    result = minimax_report(64, points=[Interval(-2, -1), Interval(1, 2)])
    assert result.converged
    assert result.value == pytest.approx(1 / T(32, 5 / 3), rel=1e-8)


@pytest.mark.parametrize("angle", [0.3, 1.0, 1.5])
def test_a_conjugate_pair_of_points(angle):
    """min |1 - w r exp(i angle)| = sin(angle), at w = cos(angle)/r: the foot of the
    perpendicular."""
    z = 3 * np.exp(1j * angle)
    start = derive("minimax", 1, [z, z.conjugate()])
    # a flat minimum: value to 1e-9, root to its square root
    assert start.roots[0].real == pytest.approx(3 / np.cos(angle), rel=1e-4)
    assert abs(start.polynomial(z)) == pytest.approx(np.sin(angle), rel=1e-9)
    assert start.interval == (0.0, pytest.approx(3.0))


def test_samples_of_an_interval_give_nearly_chebyshev():
    result = minimax_report(6, points=np.linspace(1, 4, 2001))
    # samples miss maxima by the square of their distance
    assert result.value == pytest.approx(1 / T(6, 5 / 3), rel=1e-4)
    assert result.value <= (1 + 1e-9) / T(6, 5 / 3)


def test_negative_interval_mirrors_the_positive_one():
    np.testing.assert_allclose(
        np.sort(-minimax(4, points=Interval(-3, -1)).roots.real),
        np.sort(minimax(4, points=Interval(1, 3)).roots.real),
    )
    q, t = minimax(200, points=Interval(-3, -1)), np.linspace(-3, -1, 50)
    assert q.recurrence is not None  # applied by it, no digit is lost
    error = 1 - t * q.apply(scipy.sparse.diags_array(t), np.ones(50))
    assert np.abs(error).max() < 1e-12


@pytest.mark.parametrize("k", [2, 4, 8, 16])
def test_symmetric_intervals_give_chebyshev_of_the_square(k):
    # q(t) = c(t^2), c minimax on [1, 4]
    result = minimax_report(k, points=[Interval(-2, -1), Interval(1, 2)])
    assert result.value == pytest.approx(1 / T(k // 2, 5 / 3), rel=1e-8)
    odd = minimax_report(k + 1, points=[Interval(-2, -1), Interval(1, 2)])
    assert odd.value == pytest.approx(result.value, rel=1e-8)  # an odd degree gains nothing


@pytest.mark.parametrize("parts", [[(-2, -1), (0.5, 3)], [(1, 1.1), (3, 3.5), (9, 10)]])
@pytest.mark.parametrize("k", [3, 6, 16])
def test_separate_intervals_are_proved_optimal_and_equioscillate(parts, k):
    result = minimax_report(k, points=[Interval(*part) for part in parts])
    assert result.converged
    t = np.concatenate([np.linspace(*part, 20001) for part in parts])
    q = result.polynomial(t)
    assert np.abs(q).max() <= result.value * (1 + 1e-9)
    level = np.abs(q) > result.value * (1 - 1e-4)
    signs = np.sign(q[level])
    jumps = np.count_nonzero(np.diff(signs) != 0) + 1
    across_zero = np.sign(t[level][1:]) != np.sign(t[level][:-1])
    # where 0 lies between, the sign stays
    kept = np.count_nonzero(across_zero & (np.diff(signs) == 0))
    assert jumps + kept >= k + 1


@pytest.mark.parametrize(("centre", "rho"), [(2, 1), (1, 0.9)])
@pytest.mark.parametrize("k", [1, 2, 4, 8, 16])
def test_disc_value(k, centre, rho):
    assert minimax_report(k, points=centre + rho * np.exp(1j * PHI)).value == pytest.approx(
        (rho / centre) ** k, rel=1e-8
    )


def test_filled_disc_is_its_circle():
    r = np.sqrt(np.linspace(0, 1, 20))
    z = 2 + np.outer(r, np.exp(1j * PHI[::4])).ravel()
    # 100 points on the circle
    assert minimax_report(5, points=z).value == pytest.approx(2.0**-5, rel=1e-6)


@pytest.mark.parametrize(("along", "across"), [(1, 0.5), (0.5, 1), (1.4, 0.3)])
@pytest.mark.parametrize("k", [1, 2, 4, 8, 16])
def test_ellipse_is_at_most_chebyshev(k, along, across):
    z = ellipse(1.5, along, across)
    result = minimax_report(k, points=z)
    chebyshev_value = chebyshev_on_ellipse(k, z, 1.5, along, across)
    assert result.converged
    assert result.value <= chebyshev_value * (1 + 1e-9)
    if (along, across) == (1, 0.5):
        # optimal far from 0 [Fischer, Freund 1991]
        assert result.value == pytest.approx(chebyshev_value, rel=1e-8)


def test_chebyshev_is_not_optimal_on_a_tall_ellipse():
    z = ellipse(1.5, 0.5, 1)
    assert minimax_report(1, points=z).value < 0.9 * chebyshev_on_ellipse(1, z, 1.5, 0.5, 1)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_nothing_random_gets_below_the_lower_bound(k):
    rng = np.random.default_rng(k)
    z = 2 + rng.normal(size=200) * 0.4 + 1j * rng.normal(size=200) * 0.5
    result = minimax_report(k, points=z)
    assert result.lower <= result.value <= result.lower * (1 + 1e-8)
    roots = result.polynomial.roots
    for _ in range(50):
        q = ResidualPolynomial.from_weights((1 / roots) * (1 + 1e-3 * rng.normal()))
        assert np.abs(q(z)).max() >= result.lower
    for _ in range(50):
        perturbed = np.poly(roots).real * (1 + 1e-3 * np.append(rng.normal(size=k), 0))
        assert np.abs(np.polyval(perturbed / perturbed[-1], z)).max() >= result.lower


def test_points_need_not_be_symmetric_but_the_result_is():
    z = 2 + np.exp(1j * np.linspace(0, np.pi, 200))  # the upper half alone
    q = minimax(4, points=z)
    assert np.abs(q(z.conj())).max() == pytest.approx(0.5**4, rel=1e-4)
    np.testing.assert_allclose(np.sort_complex(q.roots), np.sort_complex(q.roots.conj()))


# of processor time, so that a busy machine does not matter
def test_degree_16_takes_less_than_5_seconds():
    rng = np.random.default_rng(0)
    start = time.process_time()
    minimax(16, points=2 + rng.normal(size=500) * 0.3 + 1j * rng.normal(size=500) * 0.4)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.exp(1j * PHI), "surround 0 .*widest gap"),
        (0.3 + np.exp(1j * PHI), "surround 0"),
        (
            np.exp(1j * np.linspace(0.5, np.pi, 300)),
            "no q of degree 4 .*surround 0, or lie on opposite sides",
        ),
        ([0.0, 1.0, 2.0], "points contain 0"),
        (outlying(1e14), r"points contain 0 up to rounding \(moduli 1 to 1e\+14\)"),
        (outlying(1e9, 1e10), "so far apart .* take a lower or a higher degree"),
        (Interval(-1, 1), "interval contains 0"),
        ([Interval(1, 2), Interval(-1, 0)], "interval contains 0"),
        ([1.0, 2.0], "a polynomial of degree 2 vanishes on the 2 points"),
        ([1.0, 2.0 + 1j], "a polynomial of degree 3 vanishes on the 3 points"),
        ([1.0, 2.0 + 1j, 2.0 - 1j], "a polynomial of degree 3 vanishes on the 3 points"),
        (1 + 1e-15 * np.arange(9), "vanishes on the points up to rounding"),
        ([], "none given"),
        ([1.0, np.nan, 3.0], "finite"),
        ("disc", "points is a str, must be numbers, an Interval or a list of Intervals"),
        (None, "points is a NoneType, must be numbers"),
        ([Interval(1, 2), 3.0], "points is a list, must be numbers"),
        ({"a": 1}, "points is a dict"),
    ],
)
def test_refused_sets(points, message):
    with pytest.raises(ValueError, match=message):
        minimax(4, points=points)


def test_one_step_of_opposite_intervals_needs_a_higher_degree():
    parts = [Interval(-2, -1), Interval(1, 2)]
    with pytest.raises(ValueError, match="need a higher degree"):
        minimax(1, points=parts)
    assert minimax_report(2, points=parts).value == pytest.approx(0.6, rel=1e-9)


CLOUD = np.random.default_rng(3)
CLOUD = abs(CLOUD.standard_normal(300)) * 0.5 + 0.2 + 1j * CLOUD.standard_normal(300)


@pytest.mark.parametrize(
    ("points", "degree"),
    [
        (CLOUD, 24),
        (CLOUD, 64),
        (outlying(100.0), 4),
        (outlying(100.0), 16),
        (outlying(97.3), 32),
        (outlying(-100.0), 16),
        (outlying(1e8), 64),
        (outlying(100.0, 1e4), 16),
        (outlying(100.0, 100.0 + 1e-7), 16),
        (outlying(100.0 + 50j), 16),
        (outlying(1e-3), 16),
        (np.geomspace(1e-3, 1, 400), 64),
        (np.arange(1.0, 40.0), 38),
    ],
)
def test_the_polynomial_that_is_written_is_the_one_scored(points, degree):
    start = derive("minimax", degree, points)
    again = ResidualPolynomial.from_json(start.polynomial.to_json())
    result = start.provenance["result"]
    assert start.degree == degree
    assert np.abs(again(points)).max() == result["value"] >= result["lower_bound"]
    assert result["converged"] == (result["value"] <= result["lower_bound"] * (1 + 1e-6))
    assert bool(result["message"]) != result["converged"]
    if not result["copies"]:
        assert result["value"] <= result["lower_bound"] * (1 + 2e-5)
    if points is CLOUD and degree == 64:
        # eight of its points are resolved long before: with a basis that does not know it the
        # linear programs break down at 0.1
        assert result["value"] == pytest.approx(0.00762718516, rel=1e-7)


@pytest.mark.parametrize("outlier", [100.0, 97.3, -300.0, 1e6])
@pytest.mark.parametrize("degree", [2, 3, 8])
def test_an_outlier_costs_one_degree_or_its_rounding(outlier, degree):
    """Between the minimum of one degree less, times how far the linear factor of the outlier
    varies, and what the copies of its root leave over."""
    result = minimax_report(degree, points=outlying(outlier))
    roots = 1 + sum(n for _, n in result.copies)
    ends = sorted(abs(1 - np.array([1.0, 2.0]) / outlier) ** roots)
    inner = minimax_report(degree - roots, points=np.linspace(1, 2, 200)).value
    assert ends[0] * inner * (1 - 1e-6) <= result.value <= ends[1] * inner * (1 + 1e-6)
    assert np.abs(result.polynomial(outlier)) <= result.value


def test_rounding_at_an_outlier_is_below_the_maximum():
    """Its copies take care of an eigenvalue that is off by rounding, as those of a matrix are."""
    result = minimax_report(16, points=outlying(100.0))
    near = 100.0 * (1 + np.array([-1, 1]) * 2.0**-53)
    assert result.copies == ((100.0, 2),)
    assert np.abs(result.polynomial(near)).max() <= result.value
    assert f"{result.value / result.lower:.6g} times the bound" in result.message
    assert "outlying points (of modulus 100)" in result.message


def test_the_bound_of_fixed_roots_holds():
    """No polynomial found for the whole set gets below it: those of the LP without fixed roots."""
    points = outlying(30.0)
    for degree in (4, 5, 6):
        result = minimax_report(degree, points=points)
        unit = points / 32
        basis = module.Basis.build(unit.astype(complex), degree, np.empty(0, complex))
        plain = module._search(basis, (), unit.astype(complex))
        assert result.lower <= plain.value * (1 + 1e-9)
        assert result.value == pytest.approx(plain.value, rel=1e-6)


def test_a_search_that_ends_early_says_so_and_offers_a_lower_degree(monkeypatch):
    monkeypatch.setattr(module, "MAX_EXCHANGES", 2)
    monkeypatch.setattr(module, "RESOLVED", 0.0)
    result = minimax_report(64, points=CLOUD)
    assert not result.converged
    assert result.value > 2 * result.lower
    degree, value = result.better
    assert degree in (32, 48)
    assert value < result.value
    assert f"{result.value / result.lower:.6g} times the bound" in result.message
    assert f"degree {degree} reaches" in result.message


def test_a_lower_degree_with_fewer_copies_is_offered():
    result = minimax_report(7, points=outlying(1e11, -1e11))
    assert result.better == (
        6,
        pytest.approx(minimax_report(6, points=outlying(1e11, -1e11)).value),
    )
    assert result.better[1] < 0.2 * result.value


def test_points_are_not_changed():
    z = ellipse(2, 1, 0.5)
    before = z.copy()
    minimax(3, points=z)
    np.testing.assert_array_equal(z, before)


@pytest.mark.filterwarnings("error")
def test_a_segment_of_the_imaginary_axis():
    """By symmetry q is one in z^2, on [-4, -1], whatever one degree more: 1/T_k(5/3)."""
    for k in (2, 3, 4, 5, 8):
        found = minimax_report(k, points=1j * np.linspace(1, 2, 401))
        assert found.value == pytest.approx(1 / T(k // 2, 5 / 3), rel=1e-4)
        assert found.converged
    far = minimax_report(4, points=1j * np.linspace(1, 10, 401))  # refused as of no use before
    assert far.value == pytest.approx(1 / T(2, 101 / 99), rel=1e-4)


def test_an_interval_as_near_to_0_as_doubles_are():
    q = derive("minimax", 5, (1e-13, 1.0)).polynomial
    expected = 0.5 * (1 + np.cos(np.pi * (np.arange(5) + 0.5) / 5)) + 1e-13
    np.testing.assert_allclose(np.sort(q.roots.real), np.sort(expected), rtol=1e-11)


@pytest.mark.parametrize("of", [(-4, -1), Interval(-4, -1), [Interval(-4, -1)]])
def test_a_negative_interval_is_the_mirror_image(of):
    roots = derive("minimax", 3, of).roots
    np.testing.assert_allclose(np.sort(roots), np.sort(-derive("chebyshev", 3, (1, 4)).roots))
    with pytest.raises(ValueError, match=r"cannot be derived from \[-4, -1\] .* 0 < a < b"):
        derive("chebyshev", 3, of)
    assert abs(derive("bounded", 3, of).polynomial(-4.0)) == pytest.approx(8)
