"""Roots without padding, and one rule for the numbers of formulas."""

import numpy as np
import pytest

from mgtheory.polynomials.residual import ResidualPolynomial


@pytest.mark.parametrize(
    ("roots", "shown"),
    [
        ([12.5, 1 / 3], "12.5, 0.333333"),
        ([1 + 2j, 1 - 2j, 3.0], "3, 1+2j, 1-2j"),
        ([1e-5, np.inf, 1.0], "1, 1e-05, inf"),
        ([5.0] * 8, ", ".join(["5"] * 8)),
        ([5.0] * 9, "5, 5, 5, ..., 5, 5, 5"),
        (np.arange(1.0, 31.0), "30, 1, 16, ..., 20, 13, 17"),
    ],
)
def test_roots_are_listed_without_padding(roots, shown):
    """Of 30 the first and last three; a wide number beside a short one leaves no gap."""
    text = repr(ResidualPolynomial(roots))
    assert text == f"ResidualPolynomial(degree={len(roots)}, roots=[{shown}])"
    assert "  " not in text
    assert text.count(",") == (len(roots) if len(roots) <= 8 else 7)


@pytest.mark.parametrize(
    ("weight", "shown"),
    [
        (0.0002609, r"2.609 \cdot 10^{-4}"),
        (5e-6, r"5 \cdot 10^{-6}"),
        (0.001234, "0.001234"),
        (1234.0, "1234"),
        (9999.9, "10^{4}"),
        (1e5, "10^{5}"),
        (1e-4, "10^{-4}"),
        (11.0, "11"),
        (12340.0, r"1.234 \cdot 10^{4}"),
    ],
)
def test_formulas_have_powers_of_ten_beyond_four_digits(weight, shown):
    q = ResidualPolynomial.from_weights([weight])
    assert q._repr_latex_() == f"$q(t) = (1 - {shown} t)$"


def test_a_coefficient_of_one_is_not_written():
    assert ResidualPolynomial([-1.0])._repr_latex_() == "$q(t) = (1 + t)$"
    assert ResidualPolynomial([1.0])._repr_latex_() == "$q(t) = (1 - t)$"
    turned = ResidualPolynomial([1j, -1j])  # of modulus 1: 1 + t^2
    assert turned._repr_latex_() == "$q(t) = (1 + t^2)$"


@pytest.mark.parametrize(
    ("finite", "shown"),
    [
        (0, "1"),
        (1, "(1 - 0.5 t)"),
        (6, " ".join(["(1 - 0.5 t)"] * 6)),
        (7, " ".join(["(1 - 0.5 t)"] * 6) + r" \cdots"),
    ],
)
def test_dots_stand_for_factors_alone(finite, shown):
    """Not for roots at infinity, which are none."""
    q = ResidualPolynomial([2.0] * finite + [np.inf] * 9)
    assert q._repr_latex_() == f"$q(t) = {shown}$"
