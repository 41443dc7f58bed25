"""What engines make of exported text, on the 1 x 1 matrix t: what is left of an error."""

import re
import xml.etree.ElementTree as ET

import numpy as np

from mgtheory.export import PYTHON_PC
from mgtheory.polynomials.fourthkind import optimised_beta
from mgtheory.problems.catalogue import create

T = np.linspace(0.0, 2.0, 41)[1:]  # eigenvalues of D^-1 A
POISSON = create("poisson2d", n=15)
DIAGONAL = float(POISSON.A.diagonal()[0])


def words(text, mark="-"):
    """Name -> value of the lines of options, or of calls."""
    lines = [line for line in text.splitlines() if line.startswith(mark)]
    return dict(re.split(r"[ (]", line[len(mark) :].rstrip(");"), maxsplit=1) for line in lines)


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
