"""The error operator E of a cycle on the grids of any real hierarchy: coefficients that vary, grids
that do not nest, matrices.

Nothing is diagonal here. The eigenvalues of largest modulus are found by products with E, one cycle
each (Arnoldi's method, ARPACK), and the derivative of a simple one is y^T dE x / y^T x, with x its
right and y its left eigenvector. Where R = c P^T and A is symmetric, the adjoint of E in the energy
inner product x^T A y is the cycle with its legs exchanged, and y is A times an eigenvector of that.
With the same smoothing before and after it is E itself: y = A x, and eigenvectors and values are
those of a symmetric problem on the span that was found. Else y comes from products with E^T. One
pass of reverse differentiation, with coefficients of its own for each eigenvector, has all
gradients.

At the least spectral radius of a symmetric E many eigenvalues are nearly the largest, so that each
takes hundreds of cycles. The descent therefore runs on a span of few vectors, where E is a small
symmetric matrix; its eigenvalues are bounds of those of E from within, with the values and
derivatives of E itself where the span has its leading eigenvectors. Where a descent ends the
leading eigenvectors join the span, until nothing of E is larger there than on the span [Kangal,
Meerbergen, Mengi, Michiels, SIAM J. Matrix Anal. Appl. 39 (2018)]. Eigenvalues repel each
other as coefficients change, and their maximum has sharp bends; what falls is (sum_i
|lambda_i|^p)^(1/p), with p growing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as sla
import torch
from scipy.optimize import minimize
from torch import Tensor

from mgtheory.fourier.descent import LeastMaximum
from mgtheory.multigrid.cycle import run_cycle
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.problems.symbols import eigenvectors
from nets.pde.error import SYMMETRIC, ErrorOperator, Float, Map, Smoothed, Solved, smoothing

DENSE = 200  # unknowns up to which E is formed for all of its eigenvalues
# unknowns up to which E is formed for the hundreds of products by which the largest are found, and
# E^T with it: of 529 a thousand products take a quarter of the time of as many cycles, of 961 most
FORMED = 700
# eigenvalues that are found, for each coefficient and besides: at a least maximum about as many as
# there are coefficients are largest together, some in pairs
EACH, BESIDES = 2, 10
RESIDUAL = 1e-7  # of an eigenvector, relative: that of a symmetric problem's value is its square
# relative singular value of y^T x below which it is rounding: of equal eigenvalues, as of a square,
# x and y may have different numbers, and a part of one has no partner in the other
PAIRED = 1e-6
POWERS = (25, 100, 400, 1600)  # p; of 20 equal eigenvalues the last leaves 2 in 1000
BFGS = 30  # steps on one span
# vectors of each level that a span begins with. Without them a descent goes to where E amplifies
# what the span does not see
SPREAD = 20
WIDE = 16  # columns at a time, which stay in the cache
# squared energy norm of what a unit vector adds to a span, below which it is in it; eigenvalues are
# then missed by so much at most
APART = 1e-8
# energy, relative to the most, of a vector that is one of the nullspace but for rounding
NULL = 1e-6
LIGHT = 1e-6  # weight in a gradient, relative, that is left out


class EnergyCycle(ErrorOperator):
    """e -> E e of a cycle with given coefficients, on the grids of a sparse hierarchy; errors have
    the shape (n,).

    Raises
    ------
    ValueError
        For a complex A.
    """

    iterative = True

    def __init__(self, hierarchy: Hierarchy, degree: int, **around: Any) -> None:
        super().__init__(hierarchy, degree, **around)
        levels = hierarchy.levels
        if np.iscomplexobj(levels[0].A.data):
            raise ValueError(f"A is {levels[0].A.dtype}, what is learned is real: give a real A")
        self.size = levels[0].size
        self.A = [Linear(level.A) for level in levels[:-1]]
        self.R, self.P = ([Linear(getattr(level, name)) for level in levels[:-1]] for name in "RP")
        # p(BA) B of a level is -(sum_i c_i T_i(2 BA / b - 1)) B / b
        self.B, self.shifted = list[Linear](), list[Linear]()
        for level, b in zip(levels, self.bounds):
            B = smoothing(level).B
            D = sp.diags_array(np.full(level.size, 1.0) if B is None else B) / b
            self.B.append(Linear(D))
            self.shifted.append(Linear(2.0 * D @ level.A - sp.eye_array(level.size)))
        solve = levels[-1].solve
        assert solve is not None
        columns = np.eye(levels[-1].size)
        self.inverse = Linear(np.stack([solve(column) for column in columns], axis=1))
        N = hierarchy.nullspace
        self.nullspace = None if N is None else Linear(N)
        self.unknowns = self.size - (0 if N is None else N.shape[1])

    @property
    def entries(self) -> int:
        """A column for each unknown."""
        return int(self.size * self.unknowns)

    def columns(self, c: Any, *, exchanged: bool = False) -> Map:
        """E on columns of errors, shape (n, m), arrays or tensors as the coefficients c are, of
        shape (sets, degree), or (m, sets, degree) for columns of a cycle of their own each; with
        `exchanged` legs, what smooths after smooths before."""
        levels: list[Any] = []
        for i, A in enumerate(self.A):
            often = self.pre, self.post
            legs = [
                (partial(self._correct, i, c[..., k, :]), n) for k, n in zip(self.which[i], often)
            ]
            (before, pre), (after, post) = legs[::-1] if exchanged else legs
            levels.append(Smoothed(A, before, after, self.R[i], self.P[i], pre, post))
        levels.append(Solved(self.inverse))

        def reduced(e: Any) -> Any:
            self.watch.ran(e.shape[-1])
            return self._without(e - run_cycle(levels, self.A[0](e), self.kind))

        return reduced

    def _correct(self, i: int, c: Any, r: Any) -> Any:
        """p(BA) B r on level i."""
        K, last = self.shifted[i], None
        w = self.B[i](r)
        e = -c[..., 0] * w
        for k in range(1, self.degree):
            new = K(w)
            if last is not None:
                new = 2.0 * new - last
            last, w = w, new
            e = e - c[..., k] * w
        return e

    def _without(self, e: Any) -> Any:
        """Columns without their parts in the nullspace."""
        N = self.nullspace
        return e if N is None else e - N(N.transposed(e))

    def map(self, c: Tensor) -> Callable[[Tensor], Tensor]:
        """e -> E e for coefficients of shape (..., sets, degree) and e of shape (..., n)."""
        columns = self.columns(c)
        return lambda e: columns(e.reshape(-1, self.size).T).T

    def matrices(self, c: Tensor) -> Tensor:
        """E, shape (1, n, n)."""
        identity = self._without(torch.eye(self.size, dtype=torch.float64))
        E: Tensor = self.columns(c.reshape(self.sets, self.degree))(identity)
        return E[None]

    def expand(self, e: Tensor) -> Tensor:
        """In C order."""
        return e.reshape(self.size)

    def project(self, e: Tensor) -> Tensor:
        """e without its part in the nullspace."""
        kept: Tensor = self._without(e.reshape(-1, self.size).T)
        return kept.T.reshape(e.shape)

    def pieces(self, c: Float) -> tuple[Float, Float]:
        """The largest |eigenvalues| and their gradients, shapes (m,) and (m, sets * degree)."""
        sets = self._of_sets(c)
        values, right, left = self.leading(sets)
        size = np.abs(values)
        left = left * (np.conj(values) / np.where(size == 0, 1.0, size))
        if np.iscomplexobj(right):  # the real part of y^T dE x, of two real vectors each
            right = np.hstack([right.real, right.imag])
            left = np.hstack([left.real, -left.imag])
        slope = self._slope(np.tile(sets, (right.shape[1], 1, 1)), right, left)
        return size, slope.reshape(-1, size.size, sets.size).sum(axis=0)

    def _of_sets(self, c: Float) -> Float:
        return np.array(c).reshape(self.sets, self.degree)

    def _slope(self, sets: Float, right: Float, left: Float) -> Float:
        """The derivative of sum_j y_j^T E x_j in the coefficients, as `columns` takes them."""
        with torch.enable_grad():
            own = torch.from_numpy(sets).requires_grad_()
            image = self.columns(own)(torch.from_numpy(right))
            (slope,) = torch.autograd.grad(image, own, torch.from_numpy(left))
        return np.asarray(slope.numpy())

    def leading(self, sets: Float) -> tuple[Any, Any, Any]:
        """The eigenvalues of largest modulus, shape (m,), and their right and left eigenvectors x
        and y, shape (n, m), with y^T x = 1."""
        E, n = self.columns(sets), self.size
        count = EACH * sets.size + BESIDES
        if n <= max(DENSE, count + 2):
            values, x, y = eigenvectors(E(np.eye(n)))
            order = np.argsort(-np.abs(values), kind="stable")[:count]
            return values[order], x[:, order], y[:, order]
        adjoint = self._adjoint(sets, E)
        symmetric = adjoint is E
        if n <= FORMED:
            E = Linear(_in_parts(E, np.eye(n)))
        x = self._arnoldi(E, count)
        if symmetric:
            v = scipy.linalg.qr(np.hstack([x.real, x.imag]), mode="economic", pivoting=True)[0]
            v = np.ascontiguousarray(v[:, :count])
            image = self.A[0](v)
            with suppress(np.linalg.LinAlgError):  # A is indefinite: no inner product
                values, turn = scipy.linalg.eigh(_even(image.T @ E(v)), _even(image.T @ v))
                order = np.argsort(-np.abs(values))
                return values[order], v @ turn[:, order], image @ turn[:, order]
        if symmetric:
            y = self.A[0](x)
        elif isinstance(E, Linear):
            y = self._arnoldi(E.transposed, count)
        elif adjoint is None:
            y = self._arnoldi(self._transposed(sets), count)
        else:
            y = self.A[0](self._arnoldi(adjoint, count))
        # y^T x = 1, and the values to the square of both residuals
        y = y @ np.linalg.pinv(x.T @ y, rcond=PAIRED)
        values, turn, back = eigenvectors(y.T @ E(x))
        return values, x @ turn, y @ back

    def _arnoldi(self, E: Map, count: int) -> Any:
        """Eigenvectors of the eigenvalues of largest modulus, the largest first, shape (n, m)."""
        n = self.size

        def product(v: Float) -> Float:
            return np.asarray(E(v.reshape(n, 1))).ravel()

        start = np.random.default_rng(0).standard_normal(n)
        operator = sla.LinearOperator((n, n), matvec=product, dtype=np.float64)
        try:
            values, x = sla.eigs(operator, count, v0=start, tol=RESIDUAL)
        except sla.ArpackNoConvergence as error:  # the last of them are of no account
            values, x = error.eigenvalues, error.eigenvectors
        order = np.argsort(-np.abs(values), kind="stable")
        return x[:, order]

    def _adjoint(self, sets: Float, E: Map) -> Map | None:
        """The adjoint of E in the energy inner product, E itself where it is symmetric; None where
        the exchanged legs have it not, as of an F-cycle. Told by two random vectors."""
        equal = self.pre == self.post and all(before == after for before, after in self.which)
        adjoint = E if equal else self.columns(sets, exchanged=True)
        x = np.random.default_rng(1).standard_normal((self.size, 2))
        image = self.A[0](x)
        product, turned = image.T @ E(x), adjoint(x).T @ image
        known = np.abs(product - turned).max() <= SYMMETRIC * np.abs(product).max()
        return adjoint if known else None

    def _transposed(self, sets: Float) -> Map:
        """y -> E^T y."""
        e = torch.zeros((self.size, 1), dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            image = self.columns(torch.from_numpy(sets))(e)

        def product(y: Float) -> Float:
            back = torch.autograd.grad(image, e, torch.from_numpy(y), retain_graph=True)[0]
            return np.asarray(back.numpy())

        return product

    def minimise(self, c: Float, iterations: int, tolerance: float) -> LeastMaximum:
        """See `ErrorOperator.minimise`; where E is symmetric by descents on spans, of so many
        iterations for each power."""
        sets = self._of_sets(c)
        E = self.columns(sets)
        if self._adjoint(sets, E) is E:
            with suppress(np.linalg.LinAlgError):  # A is indefinite: no inner product
                return self._minimise_on_spans(c, iterations, tolerance)
        return super().minimise(c, iterations, tolerance)

    def _minimise_on_spans(self, c: Float, iterations: int, tolerance: float) -> LeastMaximum:
        values, x, _ = self.leading(self._of_sets(c))
        span, least, inverse, total = Span(self.A[0]), float(abs(values[0])), None, 0
        for i in range(len(self.A)):
            span.add(self._spread(i))
        span.add(x)
        for power in POWERS:
            taken, whole, least_sum = 0, False, False
            while not whole and taken < iterations:
                options = {"maxiter": BFGS, "gtol": tolerance, "hess_inv0": inverse}
                with np.errstate(all="ignore"):  # a long step of a line search, taken back
                    end = minimize(
                        partial(self._sum_of_powers, span, power),
                        *(c, (), "BFGS", True),
                        options=options,
                    )
                inverse, taken = _even(end.hess_inv), taken + max(1, int(end.nit))
                values, x, _ = self.leading(self._of_sets(end.x))
                span.add(x)
                reached = float(abs(values[0]))
                self.watch.reached(end.x, reached)
                if reached < least:
                    c, least = end.x, reached
                # the sum is larger than its largest part, but for rounding
                whole = reached <= math.exp(end.fun) * (1 + APART)
                least_sum = end.nit < BFGS
            total += taken
        return LeastMaximum(np.array(c), least, total, whole and least_sum)

    def _spread(self, i: int) -> Float:
        """Vectors on the finest grid that have parts of all of the spectrum of BA on level i."""
        v = np.random.default_rng(i).standard_normal((self.shifted[i].matrix.shape[0], 1))
        found = v[:, :0]
        for _ in range(min(SPREAD, len(v))):
            v = self.shifted[i](v)
            v = v - found @ (found.T @ v)
            v /= np.linalg.norm(v)
            found = np.hstack([found, v])
        for P in reversed(self.P[:i]):
            found = P(found)
        return np.asarray(self._without(found))

    def _sum_of_powers(self, span: Span, power: float, c: Float) -> tuple[float, Float]:
        """log (sum_i |lambda_i|^p)^(1/p) over the eigenvalues on a span, and its gradient."""
        sets = self._of_sets(c)
        E = self.columns(sets)
        matrix = _even(span.image.T @ _in_parts(E, span.x))
        if not np.isfinite(matrix).all():
            return math.inf, np.zeros(c.size)
        values, turn = np.linalg.eigh(matrix)
        largest = np.abs(values).max()
        relative = np.abs(values) / largest
        total = (relative**power).sum()
        weights = np.sign(values) * relative ** (power - 1) / (total * largest)
        heavy = relative ** (power - 1) > LIGHT
        x, y = (v @ turn[:, heavy] for v in (span.x, span.image))
        slope = self._slope(sets, x, weights[heavy] * y)
        return math.log(largest) + math.log(total) / power, slope.ravel()


def _in_parts(E: Map, x: Float) -> Float:
    """E x, some columns at a time."""
    parts = (x[:, k : k + WIDE] for k in range(0, x.shape[1], WIDE))
    return np.hstack([E(np.ascontiguousarray(part)) for part in parts])


def _even(M: Float) -> Float:
    return np.asarray(0.5 * (M + M.T))


class Linear:
    """v -> M v for a matrix and columns v, arrays or tensors, which are differentiated through."""

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix.tocsr() if hasattr(matrix, "tocsr") else np.asarray(matrix)

    @cached_property
    def transposed(self) -> Linear:
        """v -> M^T v."""
        return Linear(self.matrix.T)

    def __call__(self, v: Any) -> Any:
        """M v."""
        product: Any = _Product
        return self.matrix @ v if isinstance(v, np.ndarray) else product.apply(v, self)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, linear: Linear) -> Tensor:
        ctx.linear = linear
        return torch.from_numpy(linear.matrix @ v.detach().numpy())

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        return ctx.linear.transposed(slope), None


class Span:
    """Columns x that are orthonormal in the energy inner product, and A x."""

    def __init__(self, A: Linear) -> None:
        self.A = A
        self.x = self.image = np.zeros((A.matrix.shape[0], 0))

    def add(self, x: Float) -> None:
        """What x has beside; LinAlgError where a column's energy is negative."""
        if np.iscomplexobj(x):  # of a pair that is equal but for rounding
            x = np.hstack([x.real, x.imag])
        sizes = np.einsum("ij,ij->j", x, self.A(x))
        flat = NULL * np.abs(sizes).max()
        if sizes.min() < -flat:
            raise np.linalg.LinAlgError("A is indefinite")
        x = x / np.sqrt(np.maximum(sizes, flat))
        for _ in range(2):  # once is not orthogonal to the last digit
            x = x - self.x @ (self.image.T @ x)
            sizes, turn = np.linalg.eigh(_even(x.T @ self.A(x)))
            apart = sizes > APART
            x = x @ (turn[:, apart] / np.sqrt(sizes[apart]))
        self.x = np.hstack([self.x, x])
        self.image = np.hstack([self.image, self.A(x)])
