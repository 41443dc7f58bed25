"""The GMRES polynomial against a dense least-squares twin, its complex pairs and copies, and what
is refused."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, gmres

from mgtheory import problems
from mgtheory.polynomials import gmres as krylov
from mgtheory.polynomials.gmres import gmres_polynomial, harmonic_ritz
from mgtheory.polynomials.residual import MAX_DEGREE
from mgtheory.spectra.arnoldi import arnoldi_process

N = 60
RNG = np.random.default_rng(0)
START = RNG.standard_normal(N)
ROTATIONS = np.kron(np.eye(N // 2), [[1.0, 2.0], [-2.0, 1.0]])
# non-normal
CONVECTION = sp.diags_array(
    [np.full(N - 1, -1.9), np.full(N, 2.0), np.full(N - 1, -0.1)], offsets=[-1, 0, 1]
).tocsr()
OPERATORS = {
    "symmetric": np.diag(np.linspace(1, 10, N)),
    "indefinite": np.diag(np.linspace(-3, 10, N)),
    "random": 4 * np.eye(N) + 0.3 * RNG.standard_normal((N, N)),
    "rotations": ROTATIONS + 0.1 * RNG.standard_normal((N, N)),
    "cyclic shift": np.roll(np.eye(N), 1, axis=0),
    "convection": CONVECTION,
}
every_operator = pytest.mark.parametrize("A", OPERATORS.values(), ids=OPERATORS)


def gmres_residual(A, b, k):
    """b - A x with x the minimiser over the Krylov space, by QR of scaled power vectors
    re-orthogonalised as they are made."""
    V = (b / np.linalg.norm(b))[:, None]
    for _ in range(k - 1):
        V = np.linalg.qr(np.column_stack([V, A @ V[:, -1]]))[0]
    Q, _ = np.linalg.qr(A @ V)
    return b - Q @ (Q.T @ b)


@every_operator
@pytest.mark.parametrize("k", [1, 2, 3, 8, 16])
def test_q_of_A_b_is_the_gmres_residual(A, k):
    result = gmres_polynomial(k, operator=A, start=START, copies=False)
    r = START - A @ result.polynomial.apply(A, START)
    expected = gmres_residual(A, START, k)
    # asked; measured below 1e-13
    assert np.linalg.norm(r - expected) <= 1e-10 * np.linalg.norm(START)
    assert result.residual_norm == pytest.approx(
        np.linalg.norm(expected) / np.linalg.norm(START), rel=1e-9, abs=1e-14
    )
    assert result.polynomial.degree == k
    assert result.copies == ()


def test_scipy_gmres_agrees():
    A, k = OPERATORS["random"], 6
    x, _ = gmres(A, START, restart=k, maxiter=1, rtol=1e-30)
    r = START - A @ harmonic_ritz(k, operator=A, start=START).apply(A, START)
    np.testing.assert_allclose(r, START - A @ x, atol=1e-10)


@every_operator
def test_the_gmres_polynomial_is_minimal(A):
    result = gmres_polynomial(3, operator=A, start=START)
    best = np.linalg.norm(START - A @ result.polynomial.apply(A, START))
    rng = np.random.default_rng(1)
    for _ in range(10):
        # perturbed, q(0) unchanged
        w = np.poly(result.values) * (1 + 1e-2 * np.append(rng.standard_normal(3), 0))
        r = sum(
            c * np.linalg.matrix_power(np.asarray(A @ np.eye(N)), 3 - j) @ START
            for j, c in enumerate(w / w[-1])
        )
        assert np.linalg.norm(r) > best


def test_complex_pairs_appear_by_themselves():
    roots = harmonic_ritz(8, operator=OPERATORS["rotations"], start=START).roots
    assert np.count_nonzero(roots.imag > 0.1) >= 3
    np.testing.assert_array_equal(np.sort_complex(roots), np.sort_complex(roots.conj()))


def test_all_eigenvalues_at_full_degree():
    A = np.diag([1.0, 2.0, 5.0, 7.0])
    result = gmres_polynomial(4, operator=A, start=np.ones(4))
    np.testing.assert_allclose(np.sort(result.values.real), [1, 2, 5, 7], rtol=1e-12)
    assert result.residual_norm == 0


def test_stagnating_gmres_has_roots_at_infinity():
    A, e = np.roll(np.eye(6), 1, axis=0), np.eye(6)[0]
    q = harmonic_ritz(3, operator=A, start=e)  # GMRES makes no progress before step 6
    assert np.isinf(q.roots).all()
    np.testing.assert_allclose(e - A @ q.apply(A, e), e, atol=1e-15)


def test_outstanding_eigenvalues_get_copies():
    A = np.diag(np.append(np.linspace(1, 2, N - 2), [500.0, 1e5]))
    plain = gmres_polynomial(10, operator=A, start=START, copies=False)
    result = gmres_polynomial(10, operator=A, start=START)
    r = plain.values
    for root, count in result.copies:
        others = r[r != root]
        digits = np.log10(np.abs(1 - root / others)).sum()
        assert digits > krylov.COPY_THRESHOLD
        assert count == np.ceil((digits - 4) / 14)
    repeated = sum(count for _, count in result.copies)
    assert repeated >= 2
    assert result.polynomial.degree == 10 + repeated
    np.testing.assert_array_equal(np.sort(result.values), np.sort(r))
    small = [root for root in r if root.real < 3]
    assert not {root for root, _ in result.copies} & set(small)


@pytest.mark.parametrize(("outlier", "k"), [(50.0, 15), (1e3, 10), (1e5, 5), (1e6, 15)])
def test_copies_restore_the_gmres_residual(outlier, k):
    Q, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((N, N)))
    A = (Q * np.append(np.linspace(1, 2, N - 1), outlier)) @ Q.T

    def residual(copies):
        return np.linalg.norm(
            START - A @ harmonic_ritz(k, operator=A, start=START, copies=copies).apply(A, START)
        ) / np.linalg.norm(START)

    expected = gmres_polynomial(k, operator=A, start=START).residual_norm
    assert residual(copies=False) > 1e3 * expected  # rounding is amplified by up to 60 digits
    assert residual(copies=True) < 2 * expected


def test_copies_keep_conjugates_together():
    A = OPERATORS["cyclic shift"] + np.diag(np.append(np.zeros(N - 2), [40.0, 40.0]))
    A[N - 2, N - 1], A[N - 1, N - 2] = 30.0, -30.0
    result = gmres_polynomial(12, operator=A, start=START)
    pairs = {root for root, _ in result.copies if abs(root.imag) > 1}
    assert pairs
    assert {root.conjugate() for root in pairs} == pairs
    assert result.polynomial.degree > 12


def test_a_start_of_low_grade_is_refused_with_advice():
    A = np.diag(np.repeat([1.0, 2.0, 3.0], 20))
    with pytest.raises(
        ValueError, match=r"degree is 4, but the start vector has grade 3 .*take a degree up to 3"
    ):
        harmonic_ritz(4, operator=A, start=START)
    assert harmonic_ritz(3, operator=A, start=START).degree == 3
    with pytest.raises(ValueError, match="grade 60"):
        harmonic_ritz(61, operator=OPERATORS["symmetric"], start=START)


@pytest.mark.parametrize("small", [0.0, 1e-13])
def test_near_zero_roots_are_refused_with_advice(small):
    A = np.diag(np.append(np.linspace(1, 2, 5), small))
    with pytest.raises(
        ValueError, match=r"near 0 .*project its nullspace out of operator and start"
    ):
        harmonic_ritz(6, operator=A, start=np.ones(6))


def test_singular_operator_is_served_after_projection():
    problem = problems.create("poisson1d", n=32, boundary="neumann")
    start = START[:32] - START[:32].mean()
    r = start - problem.A @ harmonic_ritz(5, operator=problem.A, start=start).apply(
        problem.A, start
    )
    np.testing.assert_allclose(r, gmres_residual(problem.A.toarray(), start, 5), atol=1e-10)


@pytest.mark.parametrize(
    ("operator", "start", "message"),
    [
        (np.eye(3), np.zeros(3), "norm 0"),
        (np.eye(3), np.array([1, np.nan, 0]), "norm nan"),
        (np.eye(3), np.ones(4), r"\(3, 3\) and start \(4,\)"),
        (np.ones((3, 2)), np.ones(3), r"operator has shape \(3, 2\)"),
        (1j * np.eye(3), np.ones(3), "takes a real one"),
        (np.eye(3), 1j * np.ones(3), "takes a real one"),
        (np.diag([1.0, np.inf, 2.0]), np.ones(3), "not finite"),
        (np.diag([1.0, np.nan, 2.0]), np.ones(3), "not finite"),
    ],
)
def test_bad_input_is_refused(operator, start, message):
    with pytest.raises(ValueError, match=message):
        harmonic_ritz(2, operator=operator, start=start)


def test_too_many_copies_are_refused(monkeypatch):
    monkeypatch.setattr(krylov, "DIGITS_PER_COPY", 1e-3)
    A = np.diag(np.append(np.linspace(1, 2, N - 1), 1e5))
    with pytest.raises(ValueError, match=rf"together more than {MAX_DEGREE}: take a lower degree"):
        harmonic_ritz(10, operator=A, start=START)


def test_any_kind_of_operator_and_untouched_arguments():
    A = OPERATORS["random"]
    wrapped = LinearOperator(A.shape, matvec=lambda v: A @ v, dtype=float)
    start = START.copy()
    q = harmonic_ritz(5, operator=A, start=start)
    assert harmonic_ritz(5, operator=wrapped, start=list(start)) == q
    np.testing.assert_allclose(
        harmonic_ritz(5, operator=sp.csr_array(A), start=start).roots, q.roots, rtol=1e-12
    )
    np.testing.assert_array_equal(start, START)


@every_operator
def test_arnoldi_relation(A):
    process = arnoldi_process(lambda v: A @ v, START, 20)
    V, H = process.V.T, process.H
    np.testing.assert_allclose(A @ V[:, :20], process.scale * V @ H, atol=1e-13)
    np.testing.assert_allclose(V.T @ V, np.eye(21), atol=1e-14)


@pytest.mark.parametrize("size", [1e-290, 1e-200, 1e200, 1e290])
@pytest.mark.parametrize("length", [1e-300, 1.0, 1e300])
def test_every_size_of_the_operator_and_the_start(size, length):
    """The roots scale with A and do not depend on the length of the start."""
    A, B = OPERATORS["symmetric"], np.diag(np.append(np.linspace(1, 2, N - 1), 1e4))
    for matrix in (A, B):  # without copies and with one
        unit = gmres_polynomial(5, operator=matrix, start=START)
        moved = gmres_polynomial(5, operator=size * matrix, start=length * START)
        np.testing.assert_allclose(
            np.sort(moved.values.real) / size, np.sort(unit.values.real), rtol=1e-9
        )
        assert moved.residual_norm == pytest.approx(unit.residual_norm, rel=1e-9)
        assert [count for _, count in moved.copies] == [count for _, count in unit.copies]
    with pytest.raises(ValueError, match="near 0"):
        harmonic_ritz(6, operator=size * np.diag([0.0, 1, 2, 3, 4, 5]), start=np.ones(6))


def test_copies_start_at_ten_thousand():
    """The product at the root 59 is 58 * 28.5 * (56/3) = 10^4.49: one copy; at 35, 34 * 16.5 *
    (32/3) = 10^3.78: none."""
    copies = [
        gmres_polynomial(4, operator=np.diag([1.0, 2.0, 3.0, outer]), start=np.ones(4)).copies
        for outer in (59.0, 35.0)
    ]
    assert [(round(root.real, 8), count) for root, count in copies[0]] == [(59.0, 1)]
    assert copies[1] == ()


def test_pairs_are_exact_whatever_the_eigenvalue_solver_rounds(monkeypatch):
    """LAPACK rounds the two of a pair each by itself, differently on every processor."""
    noise, exact = np.random.default_rng(4), scipy.linalg.eigvals

    def rounded(*args, **options):
        top, bottom = exact(*args, **options)
        return top * (1 + 4e-16 * noise.choice([-1, 1], top.size)), bottom

    monkeypatch.setattr(scipy.linalg, "eigvals", rounded)
    A = OPERATORS["cyclic shift"] + np.diag(np.append(np.zeros(N - 2), [40.0, 40.0]))
    A[N - 2, N - 1], A[N - 1, N - 2] = 30.0, -30.0
    result = gmres_polynomial(12, operator=A, start=START)
    assert sum(result.values.imag > 0) >= 3
    assert set(result.values) == set(result.values.conj())
    counts = dict(result.copies)
    assert counts
    assert all(counts[root.conjugate()] == count for root, count in counts.items())
    np.testing.assert_array_equal(
        np.sort_complex(result.polynomial.roots), np.sort_complex(result.polynomial.roots.conj())
    )
