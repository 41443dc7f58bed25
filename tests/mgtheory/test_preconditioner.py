"""A polynomial as the preconditioner of cg: as many steps, and the same errors, as the known
spectrum 1 - q(t) says; what is no preconditioner for cg is refused."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, cg, gmres

from mgtheory import ResidualPolynomial, derive, poisson
from mgtheory.problems import create

N = 15
PROBLEM = poisson((N, N))
DENSE = PROBLEM.A.toarray()
# q = 1 - t (t - 600) (t - 1200)/1e10 is above 1 between 600 and 1200, and below at both ends
BETWEEN = ResidualPolynomial.from_coefficients([1.0, -7.2e-5, 1.8e-7, -1e-10]).roots


def energy_errors(A, b, M=None, steps=12):
    """||x_k - x||_A of cg, k = 0, 1, ..."""
    A = np.asarray(A.toarray() if sp.issparse(A) else A)
    x, found = np.linalg.solve(A, b), [np.zeros_like(b)]
    cg(A, b, rtol=0.0, atol=0.0, maxiter=steps, M=M, callback=lambda xk: found.append(xk.copy()))
    return np.array([np.sqrt((x - xk) @ A @ (x - xk)) for xk in found])


@pytest.mark.parametrize(("family", "degree"), [("chebyshev4", 3), ("chebyshev", 4), ("mls", 4)])
def test_cg_is_that_of_the_known_spectrum(family, degree):
    """In the eigenvectors of A, cg with M is cg on diag(1 - q(t)) with the right-hand side
    sqrt(p) V^T b; its errors stay below the bound of kappa = max (1 - q)/min (1 - q)."""
    q = derive(family, degree, PROBLEM).polynomial
    M = q.as_preconditioner(PROBLEM.A)
    t, V = np.linalg.eigh(DENSE)
    b = np.random.default_rng(0).standard_normal(t.size)
    found = energy_errors(DENSE, b, M)
    expected = energy_errors(np.diag(1 - q(t)), np.sqrt(q.p(t)) * (V.T @ b))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9 * expected[0])
    kappa = (1 - q(t)).max() / (1 - q(t)).min()
    root = (np.sqrt(kappa) - 1) / (np.sqrt(kappa) + 1)
    assert np.all(found <= 2 * root ** np.arange(found.size) * found[0])
    assert found[-1] < 0.2 * energy_errors(DENSE, b)[-1]


@pytest.mark.parametrize("name", ["poisson2d", "jump2d"])
@pytest.mark.parametrize("degree", [1, 6, 32])
def test_symmetric_and_positive(name, degree):
    """To rounding, with B = I and, where coefficients jump, B = D^-1."""
    problem = create(name, N)
    q = derive("chebyshev4", degree, problem).polynomial
    M = q.as_preconditioner(problem.A) @ np.eye(N * N)
    assert np.abs(M - M.T).max() <= 1e-13 * np.abs(M).max()
    assert np.linalg.eigvalsh((M + M.T) / 2).min() > 0
    D = 1.0 if q.operator.scaling == "identity" else problem.A.diagonal()
    t = np.linalg.eigvals(problem.A.toarray() / np.broadcast_to(D, N * N)[:, None]).real
    values = np.sort(np.linalg.eigvals(M @ problem.A.toarray()).real)
    np.testing.assert_allclose(values, np.sort(1 - q(t)), atol=1e-9)


def test_the_record_is_honoured():
    """A polynomial for another scale or grid is refused, one without a record is taken as meant;
    B goes with it, or is given where the operator has no diagonal."""
    q = derive("chebyshev4", 3, PROBLEM).polynomial
    with pytest.raises(ValueError, match="derived for poisson2d"):
        q.as_preconditioner(PROBLEM.A / N**2)
    with pytest.raises(ValueError, match="amplifies"):
        q.as_preconditioner(poisson((2 * N, 2 * N)).A)
    ResidualPolynomial(q.roots).as_preconditioner(PROBLEM.A)
    jump = create("jump2d", N)
    scaled = derive("chebyshev4", 3, jump).polynomial
    free = LinearOperator(jump.A.shape, matvec=lambda v: jump.A @ v, dtype=float)
    with pytest.raises(ValueError, match=r"pass B = D\^-1"):
        scaled.as_preconditioner(free)
    with pytest.raises(ValueError, match=r"applied to a matrix of \d+ rows \(D\^-1 A, eigenvalues"):
        derive("chebyshev4", 3, 1.0, scaling="diagonal").polynomial.as_preconditioner(jump.A)
    r = np.random.default_rng(0).standard_normal(N * N)
    M = scaled.as_preconditioner(free, B=1 / jump.A.diagonal())
    np.testing.assert_allclose(M @ r, scaled.as_preconditioner(jump.A) @ r)


@pytest.mark.parametrize(
    ("A", "roots", "words"),
    [
        (DENSE, [-100.0], "needs q < 1"),
        (DENSE, [600.0, 600.0], "needs q < 1"),  # q(b) = 4: t beyond 2/w
        (DENSE, BETWEEN, "needs q < 1"),
        (-DENSE, [2000.0], "must be positive"),
        (DENSE - 100 * np.eye(N * N), [2000.0], "must be positive"),
        (DENSE + np.triu(DENSE, 1), [2000.0], "not symmetric"),
        (DENSE[:-1], [2000.0], "must be square"),
    ],
)
def test_what_is_no_preconditioner_for_cg(A, roots, words):
    q = ResidualPolynomial(roots)
    with pytest.raises(ValueError, match=words) as caught:
        q.as_preconditioner(A)
    assert "\n" not in str(caught.value)
    if "square" not in words:
        assert "symmetric=False" in str(caught.value)
        q.as_preconditioner(A, symmetric=False)


def test_a_hermitian_matrix_has_a_complex_one():
    """Its entries come through: M A has the eigenvalues 1 - q(t)."""
    rng = np.random.default_rng(1)
    U, _ = np.linalg.qr(rng.standard_normal((6, 6)) + 1j * rng.standard_normal((6, 6)))
    t, q = np.linspace(1.0, 3.0, 6), ResidualPolynomial([1.5, 2.5])
    A = (U * t) @ U.conj().T
    M = q.as_preconditioner(A)
    assert M.dtype == complex
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(M @ A).real), np.sort(1 - q(t)), atol=1e-9)


def test_gmres_takes_a_nonsymmetric_one():
    n = 200
    A = sp.diags_array([-1.4, 2.0, -0.6], offsets=[-1, 0, 1], shape=(n, n), format="csr")
    q = derive("harmonic_ritz", 6, A).polynomial
    b, counts = np.ones(n), []
    for M in (None, q.as_preconditioner(A, symmetric=False)):
        steps = []
        options = {"callback": steps.append, "callback_type": "pr_norm"}
        _, failed = gmres(A, b, M=M, rtol=1e-8, restart=n, **options)
        assert not failed
        counts.append(len(steps))
    assert counts[1] <= 0.4 * counts[0]


class Device:
    """An array of a library with a memory of its own, as CuPy's: it meets its own kind and plain
    numbers alone, and becomes NumPy's by `get`, and by nothing else."""

    __array_ufunc__ = None

    def __init__(self, host):
        self.host = host

    ndim = property(lambda self: self.host.ndim)
    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)

    def __array__(self, *_, **__):
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def get(self):
        return self.host

    def diagonal(self):
        return Device(self.host.diagonal())

    def __getitem__(self, key):
        return Device(self.host[key])

    def _meet(self, other, name):
        assert type(other) in (Device, int, float), type(other)
        return Device(getattr(self.host, name)(getattr(other, "host", other)))


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "matmul"):
    setattr(Device, f"__{_name}__", lambda s, o, n=f"__{_name}__": s._meet(o, n))


class Linear:
    """A LinearOperator of that library."""

    def __init__(self, shape, matvec, matmat=None, dtype=None):
        self.shape, self.dtype, self.matvec, self.matmat = shape, dtype, matvec, matmat


@pytest.mark.parametrize(("family", "name"), [("chebyshev4", "jump2d"), ("minimax", "poisson2d")])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_arrays_of_another_library(family, name, dtype):
    """Everything stays there, by the recurrence and by factors, with B from the record; the same
    numbers as NumPy's."""
    problem = create(name, N)
    q = derive(family, 3, problem).polynomial
    A = problem.A.astype(dtype)
    r = np.random.default_rng(0).standard_normal((N * N, 2)).astype(dtype)
    M = q.as_preconditioner(Device(A), kind=Linear)
    assert M.shape == A.shape
    found, several = M.matvec(Device(r[:, 0])), M.matmat(Device(r))
    assert type(found) is type(several) is Device
    assert found.dtype == dtype
    expected = q.as_preconditioner(problem.A) @ r
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    for one, other in ((found.host, expected[:, 0]), (several.host, expected)):
        np.testing.assert_allclose(one, other, atol=tolerance * np.abs(expected).max())
    with pytest.raises(ValueError, match="symmetric"):
        q.as_preconditioner(Device(A + 0.5 * A.max() * sp.triu(A, 1)), kind=Linear)
