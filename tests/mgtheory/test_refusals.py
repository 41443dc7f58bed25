"""Whatever is no number, vector, operator, name or count is refused in one line of our own, not by
an error from deep inside."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from mgtheory import (
    InitialCoefficients,
    Interval,
    ResidualPolynomial,
    Stencil,
    compare_smoothers,
    derive,
    poisson,
    solve,
)
from mgtheory.families import FAMILIES, get_family
from mgtheory.fourier import (
    cycle_factor,
    smoothing_factor,
    three_grid_factor,
    two_grid_factor,
)
from mgtheory.fourier import exact as symbolic
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.fourier.optimal import optimise_two_grid
from mgtheory.fourier.relaxation import described, on_level
from mgtheory.multigrid.approximation import approximation_constant, approximation_constants
from mgtheory.polynomials.factors import (
    ComplexPair,
    General,
    Linear,
    RealPair,
    SymmetricPair,
    factor_from_dict,
)
from mgtheory.polynomials.fourthkind import optimised_beta, optimised_roots
from mgtheory.polynomials.recurrence import Recurrence, fourth_kind_recurrence
from mgtheory.polynomials.roots import leja_order
from mgtheory.polynomials.scores import (
    damping_number,
    gamma,
    nearest_families,
    smoothing_number,
    v_cycle_bound,
)
from mgtheory.problems.catalogue import create
from mgtheory.problems.record import operator_record
from mgtheory.problems.stencils import (
    anisotropic,
    laplacian,
    mehrstellen,
    multilinear,
    named,
    rotated_anisotropic,
    tensor,
)
from mgtheory.problems.symbols import channel_eigenvalues, grid_frequencies, symbol
from mgtheory.smoothers import GaussSeidel, Jacobi, Polynomial
from mgtheory.spectra.bounds import field_of_values, gershgorin
from mgtheory.spectra.record import OperatorRecord
from mgtheory.spectra.ritz import arnoldi, lanczos
from mgtheory.verification import verify

A, b, L1, L2 = np.diag([1.0, 2.0, 3.0, 4.0]), np.ones(4), laplacian(1), laplacian(2)
q, P4 = ResidualPolynomial([3.0, 6.0]), np.ones((4, 1))
CYCLE, RNG = LocalCycle(L1, "jacobi"), np.random.default_rng(0)
PROBLEM = create("poisson1d", n=7)

NEVER = ["x", {}, object(), ["a"], [[1, 2], [3]]]  # right for nothing that is asked for below
COUNTS = [*NEVER, None, [], [1, 2], -1, 1.5, float("nan"), float("inf"), True, np.array([1, 2])]
# where a number > 0 is asked for
NUMBERS = [*NEVER, None, [], float("nan"), -1.0, 1j, np.array([1.0, 2.0])]
ARRAYS = [*NEVER, None, np.array(["a"]), np.ma.array([2.0, 3.0], mask=[True, False])]
OBJECTS = [*NEVER, None, 3, np.ones(2)]
NO_OPERATORS = [
    *(None, -1, 0, np.nan, 1j, (2, 1), (np.nan, 1), [], [np.nan, 1.0], 1j * np.ones(1)),
    *(np.ones((2, 3)), np.ones((2, 2, 2)), np.array([["a"]])),
]


def keyword(function, name, *args, **options):
    return lambda value: function(*args, **{name: value}, **options)


def family(name, source, degree=4, **options):
    return keyword(FAMILIES[name].function, source, degree, **options)


CALLS = {
    # one object
    "roots": (ResidualPolynomial, ARRAYS),
    "weights": (ResidualPolynomial.from_weights, ARRAYS),
    "coefficients": (ResidualPolynomial.from_coefficients, ARRAYS),
    "factors": (ResidualPolynomial.from_factors, OBJECTS),
    "recurrence of a polynomial": (lambda v: ResidualPolynomial([1.0], v), [3, "x", (1, 2)]),
    "recurrence": (lambda v: Recurrence(v, v, v), [*ARRAYS, 3, [np.nan], np.ones((2, 2))]),
    "scaled": (q.scaled, NUMBERS),
    "q(t)": (q, ARRAYS),
    "p(t)": (q.p, ARRAYS),
    "amplification": (q.amplification, [*ARRAYS, []]),
    "from_json": (ResidualPolynomial.from_json, OBJECTS),
    "from_dict": (
        ResidualPolynomial.from_dict,
        [
            *OBJECTS,
            {"roots": ["a"]},
            {"roots": [[1, "b"]]},
            {"roots": [[1, 0]], "recurrence": 3},
            {"weights": 3},
            {"weights": [["a", 0]]},
        ],
    ),
    "leja_order": (leja_order, [*ARRAYS, [0.0], [np.nan]]),
    "linear": (Linear, [*NEVER, None, 1j, np.nan]),
    "real pair": (lambda v: RealPair(v, 1.0), [*NEVER, None, 1j, np.nan, 0, 1e-320]),
    "symmetric pair": (SymmetricPair, [*NEVER, None, 1j, np.nan]),
    "complex pair": (lambda v: ComplexPair(1.0, v), [*NEVER, None, 1j, np.nan]),
    "general": (General, [*NEVER, None, [], [np.nan]]),
    "factor_from_dict": (factor_from_dict, [*OBJECTS, {"kind": "linear", "w": "a"}]),
    # families
    **{
        f"{name} interval": (family(name, "interval"), [*OBJECTS, (2, 1), (np.nan, 1), [1, 2, 3]])
        for name in ("richardson", "chebyshev")
    },
    **{
        f"{name} lmax": (family(name, "lmax"), [*NUMBERS, 0])
        for name in ("chebyshev4", "chebyshev4_opt", "mls")
    },
    "operator": (
        family("harmonic_ritz", "operator", start=b),
        [*OBJECTS, np.ones((2, 3)), np.ones((2, 2, 2)), np.array([["a"]])],
    ),
    "start": (
        family("harmonic_ritz", "start", operator=A),
        [*ARRAYS, [], 3, np.zeros(4), np.ones((4, 1))],
    ),
    "points": (family("minimax", "points"), [*ARRAYS, [], 0.0, np.nan]),
    "problem of two grids": (family("two_grid_optimal", "problem"), OBJECTS),
    **{
        f"two_grid_optimal {name}": (family("two_grid_optimal", name, 1, problem=L1), COUNTS)
        for name in ("pre", "post")
    },
    "degree of two grids": (lambda v: optimise_two_grid(v, L1), [*COUNTS, 0, 17]),
    "iterations": (keyword(optimise_two_grid, "iterations", 1, L1), [*COUNTS, 0]),
    "get_family": (get_family, OBJECTS),
    "optimised roots": (optimised_roots, [*COUNTS, 0, 257]),
    "optimised beta": (optimised_beta, [*COUNTS, 0]),
    "recurrence lmax": (keyword(fourth_kind_recurrence, "lmax", np.ones(2)), [*NUMBERS, 0]),
    # derive
    "derive family": (lambda v: derive(v, 2, 1.0), OBJECTS),
    "derive degree": (lambda v: derive("chebyshev4", v, 1.0), [*COUNTS, 0]),
    **{
        f"derive {name} of no operator": (keyword(derive, "of", name, 2), [*NEVER, *NO_OPERATORS])
        for name in ("chebyshev", "chebyshev4", "minimax", "harmonic_ritz", "two_grid_optimal")
    },
    "derive chebyshev of": (
        keyword(derive, "of", "chebyshev", 2),
        [3.0, (0, 1), A, [1.0, 1j, -1j], np.ones(2)],
    ),
    "derive chebyshev4 of": (keyword(derive, "of", "chebyshev4", 2), [[1.0, 1j, -1j], -A]),
    "derive harmonic_ritz of": (keyword(derive, "of", "harmonic_ritz", 2), [3.0, (1, 2), L2]),
    "derive two_grid_optimal of": (keyword(derive, "of", "two_grid_optimal", 2), [3.0, A]),
    "derive start": (
        keyword(derive, "start", "harmonic_ritz", 2, A),
        [*NEVER, 3, np.ones(3)],
    ),
    "derive scaling": (keyword(derive, "scaling", "chebyshev4", 2, L2), [*OBJECTS, "D"]),
    "derive axes": (keyword(derive, "axes", "chebyshev4", 2, L2), [*OBJECTS, "x", [2]]),
    **{
        f"derive axes of {name}": (
            keyword(derive, "axes", "chebyshev4", 2, of),
            [*OBJECTS, "all", (0,), np.array([0])],
        )
        for name, of in {"b": 8.0, "an interval": (2, 8), "points": [1, 2, 3], "A": A}.items()
    },
    "compared families": (
        keyword(compare_smoothers, "families", PROBLEM, degrees=[1], repeats=1),
        ["x", object(), ["a"], 3, "chebyshev"],
    ),
    "compared degrees": (
        keyword(compare_smoothers, "degrees", PROBLEM, families=["mls"], repeats=1),
        ["x", object(), None, 2, "2"],
    ),
    "coefficient": (keyword(poisson, "coefficient", (7, 7)), [*NEVER, 2.0, np.ones((7, 7))]),
    "f": (keyword(poisson, "f", (7, 7)), [*NEVER, 2.0, np.ones((7, 7))]),
    "right-hand side": (
        lambda v: solve(PROBLEM, b=v),
        [*NEVER, 3, np.ones((7, 2)), csr_array(np.ones((7, 1)))],
    ),
    "dense matrix": (lambda v: solve(v, b=b, shape=4), [*OBJECTS, A]),
    "Fourier analysis of a matrix": (
        keyword(two_grid_factor, "operator", smoother="jacobi"),
        [PROBLEM.A],
    ),
    "record": (operator_record, [*NEVER, *NO_OPERATORS]),
    "record of a record": (lambda v: OperatorRecord("interval", "x", v), [-1, 0, np.nan, np.inf]),
    "coefficients from_json": (InitialCoefficients.from_json, OBJECTS),
    "coefficients from_dict": (InitialCoefficients.from_dict, OBJECTS),
    # scores and spectra
    "gamma q": (gamma, OBJECTS),
    **{
        f"{score.__name__} lmax": (keyword(score, "lmax", q), [*NUMBERS, 0, np.inf])
        for score in (gamma, smoothing_number, nearest_families)
    },
    "constant": (keyword(v_cycle_bound, "constant", q, lmax=9.0), [*NUMBERS, 0]),
    "power": (keyword(smoothing_number, "power", q), [*COUNTS, 0]),
    "interval of a damping number": (
        keyword(damping_number, "interval", q),
        [*OBJECTS, (2, 1), ("a", "b")],
    ),
    "degrees": (
        keyword(nearest_families, "degrees", q, lmax=8.0),
        [*NEVER, 3, [], [0], [1.5], [300]],
    ),
    "approximation A": (
        lambda v: approximation_constant(v, P4),
        [*OBJECTS, np.full((4, 4), np.nan), 1j * A],
    ),
    "approximation P": (
        lambda v: approximation_constant(A, v),
        [*OBJECTS, np.ones((3, 1)), np.full((4, 1), np.inf)],
    ),
    "approximation B": (
        keyword(approximation_constant, "B", A, P4),
        [*NEVER, np.zeros(4), np.ones(3)],
    ),
    "approximation lmax": (
        keyword(approximation_constant, "lmax", A, P4),
        [*NEVER, -1, np.nan, 1j],
    ),
    "approximation_constants": (approximation_constants, OBJECTS),
    "interval": (lambda v: Interval(v, 9.0), [*NEVER, None, 1j, np.nan, 9.0]),
    "interval scaled": (Interval(1, 2).scaled, [*NUMBERS, 0]),
    "gershgorin": (
        gershgorin,
        [*ARRAYS, [], np.ones((2, 3)), np.ones((2, 2, 2)), np.full((2, 2), np.nan)],
    ),
    "gershgorin B": (keyword(gershgorin, "B", A), [*NEVER, np.ones(3), 2.0]),
    "field_of_values": (field_of_values, [*OBJECTS, np.ones((2, 3)), np.zeros((0, 0))]),
    "angles": (keyword(field_of_values, "angles", A), [*COUNTS, 2]),
    **{
        f"{run.__name__} A": (run, [*OBJECTS, np.ones((2, 3)), np.zeros((0, 0))])
        for run in (lanczos, arnoldi)
    },
    **{
        f"{run.__name__} steps": (keyword(run, "steps", A), [*COUNTS, 0])
        for run in (lanczos, arnoldi)
    },
    **{
        f"{run.__name__} tolerance": (keyword(run, "tolerance", A), [*NUMBERS, 0])
        for run in (lanczos, arnoldi)
    },
    **{
        f"{run.__name__} safety": (keyword(run, "safety", A), [*NUMBERS, 0.9])
        for run in (lanczos, arnoldi)
    },
    **{
        f"{run.__name__} generator": (keyword(run, "generator", A), [*NEVER, 3])
        for run in (lanczos, arnoldi, field_of_values)
    },
    "lanczos B": (keyword(lanczos, "B", A), [*NEVER, np.ones(3), -np.ones(4)]),
    # stencils and Fourier analysis
    "offsets": (lambda v: Stencil(v, np.ones(1)), [*OBJECTS, ((0.5,),), ()]),
    "values": (lambda v: Stencil(((0,),), v), [*ARRAYS, 3, [], np.ones((1, 2, 3))]),
    "kernel": (Stencil.from_array, [*ARRAYS, 3, np.ones((2, 2))]),
    "grid": (L2.periodic, [*NEVER, None, [], 2.5, (2.5, 2), (0, 3), (4,), (4, 4, 4)]),
    "factor of a stencil": (lambda v: L2 * v, [*NEVER, None, np.ones(5)]),
    "divisor of a stencil": (lambda v: L2 / v, [*NEVER, None, 0, np.ones(5)]),
    "subsampled": (L1.subsampled, [*COUNTS, 0]),
    "tensor": (tensor, ARRAYS),
    "anisotropic": (anisotropic, [*ARRAYS, 3, [], [0.0], [-1.0], [np.nan], [1.0] * 4]),
    **{
        f"{make.__name__}": (make, [*COUNTS, 0, 4])
        for make in (laplacian, mehrstellen, multilinear)
    },
    "rotated": (rotated_anisotropic, [*NUMBERS, 0]),
    "named": (named, OBJECTS),
    "grid_frequencies": (grid_frequencies, [*NEVER, None, [], 0, 2.5, True, [2.5, 2]]),
    "operator of a symbol": (lambda v: symbol(v, [0.1, 0.2]), OBJECTS),
    "theta": (lambda v: symbol(L2, v), [*ARRAYS, 3, np.ones(3), [1j, 0]]),
    "kernel of channels": (
        lambda v: channel_eigenvalues(v, (4, 4)),
        [*ARRAYS, 3, np.ones((2, 3, 3, 3))],
    ),
    "grid of channels": (
        lambda v: channel_eigenvalues(np.ones((2, 2, 3, 3)), v),
        [*NEVER, None, [], 4, 2.5, (4, 2.5)],
    ),
    "omega of jacobi": (Jacobi, [*NUMBERS, 0, 2.0]),
    "omega of gauss-seidel": (keyword(GaussSeidel, "omega"), [*NUMBERS, 0, 2.0]),
    "ordering": (GaussSeidel, OBJECTS),
    "smoother polynomial": (lambda v: Polynomial(polynomial=v), OBJECTS),
    "smoother scaling": (lambda v: Polynomial(polynomial=q, scaling=v), OBJECTS),
    "smoother to analyse": (lambda v: on_level(described(v), L1, "auto"), OBJECTS),
    "smoothing operator": (lambda v: smoothing_factor(v, "jacobi"), OBJECTS),
    "steps": (keyword(smoothing_factor, "steps", L1, "jacobi"), [*COUNTS, 0]),
    **{
        f"{function.__name__} samples": (
            keyword(function, "samples", L1, "jacobi"),
            [*NEVER, [], -1, 2.5, [2.5], [8, 8], True, 1],
        )
        for function in (smoothing_factor, two_grid_factor, three_grid_factor)
    },
    **{
        f"{function.__name__} {name}": (keyword(function, name, L1, "jacobi"), COUNTS)
        for function in (two_grid_factor, three_grid_factor)
        for name in ("pre", "post", "levels")
    },
    **{
        f"{function.__name__} order": (
            keyword(function, "order", L1, "jacobi"),
            [wrong for wrong in COUNTS if wrong is not None],
        )
        for function in (two_grid_factor, three_grid_factor)
    },
    "axes": (keyword(smoothing_factor, "axes", L2, "jacobi"), [*OBJECTS, [], [2]]),
    "axes of a cycle": (keyword(two_grid_factor, "axes", L2, "jacobi"), [*OBJECTS, [], [2]]),
    "degree of a smoother": (
        keyword(smoothing_factor, "degree", L2, "chebyshev4"),
        [wrong for wrong in COUNTS if wrong is not None],
    ),
    **{
        f"cycle {name}": (keyword(two_grid_factor, name, L1, "jacobi"), [*NEVER, 3, np.ones(2)])
        for name in (
            "cycle",
            "coarsening",
            "restriction",
            "interpolation",
            "scaling",
            "zero",
            "post_smoother",
            "unknown",
        )
    },
    "levels": (keyword(LocalCycle, "levels", L1, "jacobi"), [*COUNTS, 0]),
    "cycle_factor": (cycle_factor, OBJECTS),
    "verified cycle": (lambda v: verify(v, 8, rng=RNG), OBJECTS),
    "verified grid": (
        lambda v: verify(CYCLE, v, rng=RNG, cycles=2),
        [*NEVER, None, [], 2.5, (8, 8), 7],
    ),
    "cycles": (keyword(verify, "cycles", CYCLE, 8, rng=RNG), [*COUNTS, 0]),
    "rng": (keyword(verify, "rng", CYCLE, 8), [*NEVER, None, 3]),
    # exact arithmetic
    "symbolic family": (lambda v: symbolic.roots(v, 2, interval=(1, 2)), OBJECTS),
    "symbolic degree": (
        lambda v: symbolic.roots("chebyshev", v, interval=(1, 2)),
        [*COUNTS, 0, 33],
    ),
    "symbolic interval": (
        keyword(symbolic.roots, "interval", "chebyshev", 2),
        [*NEVER, None, 3, [], (2, 1), (1, object())],
    ),
    "symbolic dim": (keyword(symbolic.smoothing_factor, "dim", "chebyshev", 2), [*COUNTS, 0, 4]),
    "symbolic theta": (lambda v: symbolic.symbol(L2, v), [*NEVER, [], 3, [1]]),
    "symbolic operator": (symbolic.symbol, OBJECTS),
    "symbolic q": (
        lambda v: symbolic.maximum_modulus(v, symbolic.sympy.Symbol("t"), (1, 2)),
        OBJECTS,
    ),
}
FOREIGN = [
    "could not",
    "inhomogeneous",
    "unpack",
    "invalid literal",
    "setting an array",
    "ambiguous",
    "broadcast",
    "cannot convert",
    "NoneType' object",
    "zero-size",
]


@pytest.mark.parametrize("name", CALLS)
def test_every_wrong_value_is_refused_in_one_line(name):
    function, wrong = CALLS[name]
    for value in wrong:
        with pytest.raises(ValueError) as error:
            print("accepted:", name, repr(value), function(value))
        message = str(error.value)
        assert message
        assert "\n" not in message, (value, message)
        assert not any(words in message for words in FOREIGN), (value, message)


@pytest.mark.parametrize("backend", ["sparse", "stencil"])
def test_masked_entries_are_refused(backend):
    """What stands below a mask would count; a masked array without one is an array."""
    problem = poisson((7, 7))
    masked = np.ma.masked_less(problem.grid[0] + 0.0 * problem.grid[1], 0.2).ravel()
    for name in ("b", "x0"):
        with pytest.raises(ValueError, match=f"{name} is a masked array, 7 of its 49 entries"):
            solve(problem, backend=backend, **{name: masked})
    with pytest.raises(ValueError, match="the coefficient is a masked array, 2 of its 9 entries"):
        solve(poisson((7, 7), coefficient=lambda x, y: np.ma.masked_less(x, 0.2)), backend=backend)
    filled = np.ma.array(problem.b)
    found, expected = (solve(problem, backend=backend, b=b).x for b in (filled, problem.b))
    np.testing.assert_array_equal(found, expected)
    assert not isinstance(found, np.ma.MaskedArray)
