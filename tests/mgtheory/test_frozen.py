"""Arrays of results are read-only, after pickling and copying too, and the caller's own arrays are
not."""

import copy
import pickle
from dataclasses import fields

import numpy as np
import pytest

from mgtheory.fourier import smoothing_factor
from mgtheory.fourier.descent import minimise_maximum
from mgtheory.polynomials.classical import chebyshev4
from mgtheory.polynomials.gmres import gmres_polynomial
from mgtheory.polynomials.minimax import minimax_report
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.stencils import Stencil, laplacian
from mgtheory.spectra.arnoldi import arnoldi_process
from mgtheory.spectra.bounds import field_of_values, gershgorin
from mgtheory.spectra.interval import Interval
from mgtheory.spectra.ritz import arnoldi

A = np.diag([1.0, 2.0, 4.0])
RESULTS = {
    "ResidualPolynomial": ResidualPolynomial([1.0, 2 + 1j, 2 - 1j]),
    "with a recurrence": chebyshev4(3, lmax=2.0),
    "Stencil": laplacian(2),
    "FourierFactor": smoothing_factor(laplacian(1), "jacobi", samples=8),
    "Gershgorin": gershgorin(A),
    "FieldOfValues": field_of_values(A, angles=4),
    "ArnoldiEstimate": arnoldi(A),
    "Arnoldi": arnoldi_process(lambda v: A @ v, np.ones(3), 2),
    "HarmonicRitz": gmres_polynomial(2, operator=A, start=np.ones(3)),
    "Minimax": minimax_report(2, points=Interval(1, 2)),
    "LeastMaximum": minimise_maximum(lambda x: (x**2 + 1, np.diag(2 * x)), np.array([3.0]), 200),
}
COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


def arrays(result):
    for item in fields(result):
        value = getattr(result, item.name)
        if isinstance(value, np.ndarray):
            yield item.name, value
        if isinstance(value, ResidualPolynomial):
            yield from (("roots", value.roots), ("weights", value.weights))


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
@pytest.mark.parametrize("again", COPIES.values(), ids=COPIES)
def test_arrays_stay_read_only_and_equal(result, again):
    found = dict(arrays(again(result)))
    assert found
    for name, value in arrays(result):
        assert not value.flags.writeable
        assert not found[name].flags.writeable
        np.testing.assert_array_equal(found[name], value)
        with pytest.raises(ValueError, match="read-only"):
            found[name][...] = 0


@pytest.mark.parametrize("again", COPIES.values(), ids=COPIES)
def test_a_copied_polynomial_is_the_same_and_its_cached_weights_are_read_only(again):
    q = RESULTS["ResidualPolynomial"]
    assert q.weights.size == 3  # cached now
    twin = again(q)
    assert twin == q
    assert hash(twin) == hash(q)
    assert not twin.weights.flags.writeable


def test_the_callers_arrays_stay_writable():
    roots, values = np.array([1.0, 2.0]), np.array([2.0, -1.0])
    q = ResidualPolynomial(roots)
    roots[0] = 5.0
    np.testing.assert_array_equal(np.sort(q.roots.real), [1.0, 2.0])
    Stencil(((0,), (1,)), values)
    values[0] = 7.0
