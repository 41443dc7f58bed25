"""Variable coefficients on a device against the compiled sweeps: the same x at every size, for
smooth, rough and jumping k; transfers from their definition; several systems, float32, advice and
refusals."""

import gc
import pickle

import numpy as np
import pytest
import torch

from mgtheory import poisson
from mgtheory.matrixfree import StencilHierarchy
from mgtheory.matrixfree.faces import FaceOperator
from mgtheory.problems.catalogue import create
from mgtheory.problems.manufactured import JumpCoefficient, SmoothCoefficient
from mgtheory.smoothers import Jacobi
from mgtheory.solving import solve
from nets.pde import faces
from nets.pde.device import DeviceHierarchy

from .pairs import noise, pair, relative

CPU, F64 = torch.device("cpu"), torch.float64


def rough(*x):
    """exp of independent normal numbers: no value is near its neighbours'."""
    size = np.broadcast(*x).shape
    return np.exp(np.random.default_rng(5).standard_normal(size))


KINDS = {"smooth": SmoothCoefficient(), "jump": JumpCoefficient(), "rough": rough}


@pytest.mark.parametrize(
    ("shape", "kind", "options"),
    [
        ((63, 63), "smooth", {"pre": 0, "degree": 3}),  # nested: cubic in full multigrid
        ((40, 27), "smooth", {}),
        ((31, 7), "rough", {"post": 0}),  # one axis alone is coarsened at first
        ((63, 63), "jump", {}),
        ((16, 50), "jump", {"pre": 0}),
        ((100,), "smooth", {}),
        ((37,), "rough", {"pre": 0}),
        ((15, 8, 9), "smooth", {"pre": 0}),
        ((8, 7, 9), "rough", {}),
        ((15, 16, 9), "jump", {}),
        ((9, 1, 8), "smooth", {}),
        ((1, 1, 9), "rough", {"pre": 0}),
        ((3, 2), "rough", {}),
    ],
)
def test_equals_the_compiled_sweeps(shape, kind, options):
    problem = poisson(shape, coefficient=KINDS[kind])
    ours, device = pair(problem, **options)
    assert [level.shape for level in ours.levels] == [level.shape for level in device.levels]
    A, b, x0 = problem.A, noise(problem.unknowns), noise(problem.unknowns, 1)
    # rounding; of a conductor 1000 times as strong, its surroundings hardly damp that of its mean
    most = 1e-11 if kind == "jump" else 1e-12

    def same(two, one):
        assert relative(two, one) < most
        assert np.abs(A @ (two - one)).max() < 1e-14 * abs(A).max() * np.abs(one).max()

    for cycle, start in (("F", x0), ("V", None), ("FMG", None)):
        one, two = (h.solve(b, start, cycle=cycle, maxiter=2, tol=0.0) for h in (ours, device))
        same(two.x, one.x)
        np.testing.assert_allclose(two.residual_norms, one.residual_norms, rtol=1e-7, atol=1e-10)
        assert two.work_units == one.work_units
    same(*(h.full_multigrid(b, cycles=2).x for h in (device, ours)))
    same(device.apply(b, "W"), ours.apply(b, "W"))
    same(device.smooth(x0, b), ours.smooth(x0, b))
    np.testing.assert_array_equal(x0, noise(problem.unknowns, 1))


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2), (1,)])
def test_interpolation_keeps_the_flux_and_restriction_is_its_transpose(axes):
    """At every point that is fine along some axes the fluxes along those sum to 0."""
    shape = (7, 6, 5)
    coarse = tuple(n // 2 if j in axes else n for j, n in enumerate(shape))
    problem = poisson(shape, coefficient=rough)
    fine = FaceOperator(shape, tuple(problem.equation.faces(shape)), coarse)
    P = faces.FluxTransfer(faces.coefficients(fine, CPU, F64), shape, axes)
    e, r, x = (torch.from_numpy(noise((2, *n), i)) for i, n in enumerate((coarse, shape, shape)))
    v = P.up(e, None)
    assert float((P.down(r) * e).sum()) == pytest.approx(
        0.5 ** len(axes) * float((r * v).sum()), rel=1e-12
    )
    assert torch.equal(P.up(e, x), x + v)
    at = tuple(slice(1, None, 2) if j in axes else slice(None) for j in range(3))
    assert torch.equal(v[(slice(None), *at)], e)
    around = np.pad(v.numpy(), [(0, 0), *[(1, 1)] * 3])[1]
    for point in np.ndindex(shape):
        flux = 0.0
        for j in (j for j in axes if point[j] % 2 == 0):
            for side in (0, 1):
                k = fine.faces[j][(*point[:j], point[j] + side, *point[j + 1 :])]
                beside = tuple(i + 1 + (2 * side - 1 if a == j else 0) for a, i in enumerate(point))
                flux += k * (around[beside] - v[1][point])
        assert abs(flux) < 1e-12 * max(k.max() for k in fine.faces)


def test_several_systems_and_float32():
    """Each to its own tolerance; cycles in float32 reach the digits of float64."""
    problem = create("variable2d", 40)
    device = StencilHierarchy.build(problem, device="cpu", coarsest=30)
    b = torch.from_numpy(np.stack([problem.b, 1e3 * noise(1600), 0.0 * problem.b]))
    found = device.solve(b.view(3, 40, 40), tol=1e-10)
    assert found.converged
    assert found.x.shape == (3, 40, 40)
    for one, right in zip(found.x, b, strict=True):
        rest = np.linalg.norm(right.numpy() - problem.A @ one.flatten().numpy())
        assert rest <= 1.01e-10 * float(right.norm())
    short = StencilHierarchy.build(problem, device="cpu", coarsest=30, dtype="float32")
    assert short.levels[0].k.diagonal.dtype == torch.float32
    for kind in ("FMG", "V"):
        refined = short.solve(problem.b, tol=1e-11, cycle=kind)
        assert refined.converged
        assert refined.x.dtype == np.float64
        rest = np.linalg.norm(problem.b - problem.A @ refined.x)
        assert rest <= 1.01e-11 * np.linalg.norm(problem.b)
        assert refined.iterations <= 12  # a factor of 0.12, as in float64
    assert short.solve(torch.from_numpy(problem.b).float(), tol=1e-4).x.dtype == torch.float32
    tiny = poisson((9, 9), coefficient=lambda x, y: 1e-35 + 0 * x * y)
    with pytest.raises(ValueError, match="e-33, cycles in float32 take"):
        StencilHierarchy.build(tiny, device="cpu", dtype="float32")


def test_tensors_belong_to_the_operator():
    """Hierarchies of one operator share them, and they go with it."""
    device = StencilHierarchy.build(create("variable2d", 15), device="cpu", coarsest=30)
    other = device.with_smoothers(Jacobi(0.7))
    held = other.levels[0].k
    assert held is device.levels[0].k
    assert device.memory_bytes > sum(level.held_bytes for level in device.levels) > 6 * 8 * 225
    x, b, D = noise(225), noise(225, 1), held.diagonal.numpy().reshape(-1)
    A = device.operators[0].problem.A
    assert relative(other.smooth(x, b), x + 0.7 * (b - A @ x) / D) < 1e-13
    copied = pickle.loads(pickle.dumps(device))
    np.testing.assert_array_equal(copied.apply(b), device.apply(b))
    count = len(faces._KEPT)
    del device, other, held
    gc.collect()
    assert len(faces._KEPT) < count


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_large_coarsest_grid_is_solved_by_factors_on_the_host(dtype, monkeypatch):
    problem = create("jump2d", 12)
    operator = FaceOperator.of(problem, None, None)
    b = torch.from_numpy(noise((2, 12, 1, 12))).to(dtype)
    inverse = faces.inverse_of(operator, CPU, dtype)(b)
    monkeypatch.setattr(faces, "INVERTED", 100)
    factors = faces.inverse_of(operator, CPU, dtype)(b)
    assert factors.dtype == inverse.dtype == dtype
    assert relative(inverse, factors) < 1e5 * torch.finfo(dtype).eps  # the condition of D^-1 A
    rest = problem.A @ factors[1].double().numpy().ravel() - b[1].double().numpy().ravel()
    assert np.abs(rest).max() < 1e3 * torch.finfo(dtype).eps * abs(problem.A).max()


def test_a_coarsest_grid_that_is_singular_to_rounding_is_refused():
    apart = poisson((9, 9), coefficient=JumpCoefficient(1e25))
    with pytest.raises(ValueError, match=r"81 unknowns, is singular to rounding"):
        DeviceHierarchy.build(apart, device="cpu")


def test_slow_cycles_advise_a_krylov_method():
    problem = poisson((31, 31, 31), coefficient=JumpCoefficient())
    ours, device = pair(problem, coarsest=60)
    one, two = (h.solve(problem.b, maxiter=6) for h in (ours, device))
    assert two.warnings == one.warnings
    assert two.message == one.message
    assert "krylov='cg'" in two.warnings[0]
    found = solve(problem, device, krylov="cg")
    assert found.converged
    assert found.iterations < 20


def test_what_it_takes_and_refuses():
    problem = create("variable2d", 15)
    assert "inverse of A" in str(DeviceHierarchy.build(problem, device="cpu"))
    wide = DeviceHierarchy.build(create("variable2d", 63), device="cpu")  # 1024, where k varies
    assert [level.shape for level in wide.levels] == [(63, 63), (31, 31)]
    with pytest.raises(ValueError, match="coarsening is 'galerkin'"):
        DeviceHierarchy.build(problem, device="cpu", coarsening="galerkin")
    with pytest.raises(ValueError, match="cuda:77"):
        DeviceHierarchy.build(problem, device="cuda:77")
