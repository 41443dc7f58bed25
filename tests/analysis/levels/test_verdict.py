"""Distances between polynomials and the words for what training did to them."""

import numpy as np
import pytest

from analysis.levels.verdict import (
    WORDS,
    distance,
    judge,
    nearest_classical,
    shape_distance,
    weight_distance,
)
from mgtheory import ResidualPolynomial
from mgtheory.families import FAMILIES
from mgtheory.polynomials.classical import chebyshev, chebyshev4, richardson
from mgtheory.polynomials.factors import SymmetricPair

THEORY = chebyshev4(3, lmax=1.0)


def test_distance_of_known_polynomials():
    assert distance(THEORY, THEORY) == 0.0
    # |(1 - t) - (1 + t)| at t = 1
    assert distance(ResidualPolynomial([1.0]), ResidualPolynomial([-1.0])) == pytest.approx(2.0)


def test_weight_distance_ignores_the_order():
    q, other = (
        ResidualPolynomial.from_weights([1.0, 2.0]),
        ResidualPolynomial.from_weights([2.0, 1.0]),
    )
    assert weight_distance(q, other) == 0.0
    flipped = ResidualPolynomial.from_weights([1.0, -2.0])
    # best assignment: 1 to 2 and -2 to 1, (1 + 9) / 5
    assert weight_distance(flipped, q) == pytest.approx(np.sqrt(2))
    assert weight_distance(q, THEORY) is None
    assert weight_distance(
        ResidualPolynomial.from_weights([0.0]), ResidualPolynomial.from_weights([1.0])
    ) == pytest.approx(1.0)


def test_shape_distance_finds_the_scaling():
    found, scale = shape_distance(THEORY.scaled(2.7), THEORY)
    assert found < 1e-5  # the scaling is found to 1e-6, |q'| is at most 8 on (0, 1]
    assert scale == pytest.approx(2.7, rel=1e-5)
    assert distance(THEORY.scaled(2.7), THEORY) > 0.3


@pytest.mark.parametrize(
    "name", [name for name, family in FAMILIES.items() if family.needs in ("lmax", "interval")]
)
def test_nearest_classical_recognises_every_family(name):
    family, degree = FAMILIES[name], 4  # the smallest degree that all have
    q = (
        family.function(degree, lmax=1.0)
        if family.needs == "lmax"
        else family.function(degree, interval=(0.25, 1.0))
    )
    found = nearest_classical(q)
    assert (found.family, found.degree, found.squared) == (name, degree, False)
    assert found.distance < 1e-7  # the search finds the parameter to about sqrt(eps)
    assert str(found) == {
        "chebyshev": "chebyshev(4, a = 0.25 b)",
        "richardson": "richardson(4, root = 0.625 b)",
    }.get(name, f"{name}(4)")


@pytest.mark.parametrize(("a", "degree"), [(0.37, 3), (0.05, 6)])
def test_nearest_classical_fits_the_lower_end(a, degree):
    """The interval is found, not picked from a list: a model may smooth another part of its
    spectrum than the theory's."""
    found = nearest_classical(chebyshev(degree, interval=(a, 1.0)))
    assert (found.family, found.degree) == ("chebyshev", degree)
    assert found.fitted == pytest.approx(a, rel=1e-7)


@pytest.mark.parametrize(
    ("half", "text"),
    [
        (chebyshev4(2, lmax=1.0), "chebyshev4(4, in A^2)"),
        (chebyshev(3, interval=(0.2, 1.0)), "chebyshev(6, a = 0.2 b^2, in A^2)"),
    ],
)
def test_nearest_classical_in_the_square(half, text):
    found = nearest_classical(
        ResidualPolynomial.from_factors([SymmetricPair(1 / root) for root in half.roots.real])
    )
    assert (str(found), found.degree, found.squared) == (text, 2 * half.degree, True)
    assert found.distance < 1e-7


@pytest.mark.parametrize("stretch", [1.1, 1.6])
def test_nearest_classical_at_points(stretch):
    """The distance is that of q(z) from p(z^2) at the points z; none of richardson's is less."""
    pairs = [SymmetricPair(stretch / root) for root in chebyshev4(2, lmax=1.0).roots.real]
    q = ResidualPolynomial.from_factors(pairs)
    z = np.exp(1j * np.linspace(0.0, 0.4, 9)) * np.linspace(0.2, 1.0, 9)
    found = nearest_classical(q, points=z)
    assert found.squared
    if found.fitted is None:
        p = FAMILIES[found.family].function(2, lmax=1.0)
    elif found.family == "chebyshev":
        p = chebyshev(found.degree // 2, interval=(found.fitted, 1.0))
    else:
        p = ResidualPolynomial([found.fitted] * (found.degree // 2))
    assert found.distance == pytest.approx(np.abs(q(z) - p(z**2)).max())
    others = np.linspace(0.3, 2.0, 50)[:, None]
    assert found.distance <= np.abs(q(z) - (1 - z**2 / others) ** 2).max(axis=1).min()


def test_square_of_symmetric_pairs_alone():
    """Roots 1, -1, 2, 3 and a pair of equal roots are no polynomials in A^2, whatever their
    weights' squares."""
    for roots in ([1.0, -1.0, 2.0, 3.0], [1.0, 1.0], [1.0, 1.0, -1.0, 1.0]):
        assert not nearest_classical(ResidualPolynomial(roots)).squared
    stretched = nearest_classical(
        ResidualPolynomial.from_factors([SymmetricPair(-1.0), SymmetricPair(0.0)])
    )
    assert np.isfinite(stretched.distance)


def test_words():
    far, near = richardson(3, interval=(0.25, 1.0)), THEORY.scaled(1.01)
    assert judge(THEORY, near, THEORY).word == "kept"
    assert judge(THEORY, far, THEORY).word == "left"
    # b grew, the weights stayed
    assert judge(THEORY, THEORY.scaled(0.3), THEORY).word == "rescaled"
    assert judge(THEORY, far.scaled(0.3), THEORY).word == "left"
    assert judge(far, near, THEORY).word == "rediscovered"
    assert judge(far, THEORY.scaled(0.3), THEORY).word == "elsewhere"
    assert judge(far, far, THEORY).word == "elsewhere"
    # a start within the tolerance is at the theory's
    assert judge(near, far, THEORY).word == "left"
    lost = judge(THEORY, near, THEORY, identifiable=False)
    assert (lost.word, lost.learned_distance, lost.nearest) == ("not identifiable", None, None)
    assert judge(None, None, None).word == "no polynomial"
    assert set(WORDS) == {
        *("kept", "rescaled", "left", "rediscovered", "elsewhere"),
        "near theory",
        "away from theory",
        "not identifiable",
        "no polynomial",
        "no spectrum",
    }


def test_without_a_start_nothing_is_said_of_training():
    near = judge(None, THEORY.scaled(1.01), THEORY)
    assert (near.word, near.start_distance, near.moved) == ("near theory", None, None)
    assert near.learned_distance == distance(THEORY.scaled(1.01), THEORY)
    assert judge(None, richardson(3, interval=(0.25, 1.0)), THEORY).word == "away from theory"


def test_numbers_beside_the_word():
    learned = chebyshev(3, interval=(0.25, 1.0))
    found = judge(THEORY, learned, THEORY)
    assert found.learned_distance == pytest.approx(distance(learned, THEORY))
    assert found.moved == found.learned_distance
    assert found.start_distance == 0.0
    assert found.nearest.family == "chebyshev"
    assert found.meaning == WORDS["left"]


def test_a_flipped_sign_is_far():
    assert judge(THEORY, ResidualPolynomial(-THEORY.roots), THEORY).word == "left"


def test_tolerance_is_checked():
    assert judge(THEORY, THEORY.scaled(1.2), THEORY, tolerance=0.5).word == "kept"
    with pytest.raises(ValueError, match="tolerance is 0"):
        judge(THEORY, THEORY, THEORY, tolerance=0)
