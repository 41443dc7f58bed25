"""The cycle on a device against the compiled sweeps: the same x at every size and stencil, several
systems at once, float32, tensors and other libraries' arrays; and its refusals."""

import math

import numpy as np
import pytest
import torch

import nets
from mgtheory import poisson
from mgtheory.matrixfree import StencilHierarchy, hierarchy
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.stencils import laplacian
from mgtheory.smoothers import Jacobi
from mgtheory.solving import solve
from nets.pde.device import DeviceHierarchy
from nets.pde.levels import SineTransform, TorchLevel, square_sum

from .pairs import noise, pair, relative

COMPLEX = ResidualPolynomial(np.array([2.0, 7.0, 4.0 + 2.0j, 4.0 - 2.0j]) * 32**2)
PROBLEMS = {
    "1d": poisson((100,)),
    "nested": poisson((31, 31)),
    "uneven": poisson((40, 27)),
    "9-point": poisson((31, 15), stencil="9-point"),
    "semi": poisson((31, 31), weights=(1.0, 0.01)),
    "3d": poisson((15, 17, 12)),
    "19-point": poisson((15, 15, 15), stencil="19-point"),
    "q1-3d": poisson((12, 9, 11), stencil="q1"),
    "tiny": poisson((3, 2)),
    "flat": poisson((1, 1, 5)),
}


@pytest.mark.parametrize("options", [{"pre": 0, "degree": 3}, {}, {"max_levels": 1}])
def test_a_first_solve_finds_its_kernels_compiled(monkeypatch, options):
    """Every kind of residual, with and without x, restriction and norm, that solves ask for is
    asked for while kernels are compiled, in seconds that are told."""
    kinds = set()
    original = TorchLevel.residual

    def noted(self, x, to, *, norm):
        kinds.add((self.shape, x is None, to is None, norm))
        return original(self, x, to, norm=norm)

    device = DeviceHierarchy.build(PROBLEMS["nested"], device="cpu", coarsest=50, **options)
    monkeypatch.setattr(TorchLevel, "residual", noted)
    monkeypatch.setattr("nets.pde.device._READY", set())
    device.kernels = "triton"
    assert device._compiled() > 0.0
    ready = set(kinds)
    kinds.clear()
    b, x0 = noise(31 * 31), noise(31 * 31, 1)
    for kind, start in (("FMG", None), ("V", None), ("V", x0)):
        device.solve(b, start, cycle=kind, maxiter=3, tol=0.0)
    assert kinds
    assert kinds <= ready


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {"pre": 0, "degree": 3}) for name in PROBLEMS),
        *((name, {}) for name in ("nested", "tiny")),
        *((name, {"pre": 0, "degree": 4, "shift": True}) for name in ("nested", "semi")),
        *((name, {"shift": "auto"}) for name in ("9-point", "19-point", "uneven")),
        ("uneven", {"post": 0}),
    ],
)
def test_equals_the_compiled_sweeps(name, options):
    problem = PROBLEMS[name]
    ours, device = pair(problem, **options)
    assert [level.shape for level in ours.levels] == [level.shape for level in device.levels]
    b, x0 = noise(problem.unknowns), noise(problem.unknowns, 1)
    for kind, start in (("F", x0), ("V", None), ("FMG", None)):
        one, two = (h.solve(b, start, cycle=kind, maxiter=2, tol=0.0) for h in (ours, device))
        assert relative(two.x, one.x) < 1e-12  # rounding, 2 cycles of about 20 products
        np.testing.assert_allclose(two.residual_norms, one.residual_norms, rtol=1e-7, atol=1e-10)
        assert two.work_units == one.work_units
    one, two = (h.full_multigrid(b, cycles=2).x for h in (ours, device))
    assert relative(two, one) < 1e-12
    assert relative(device.smooth(x0, b), ours.smooth(x0, b)) < 1e-12
    assert relative(device.apply(b, "W"), ours.apply(b, "W")) < 1e-12


@pytest.mark.parametrize("pre", [0, 1])  # from P e, and from 0
@pytest.mark.parametrize("smoother", [COMPLEX, ResidualPolynomial(COMPLEX.roots[2:]), Jacobi(0.7)])
def test_smoothers_of_other_kinds(smoother, pre):
    ours, device = pair(PROBLEMS["nested"], smoother=smoother, pre=pre)
    b = noise(31 * 31)
    assert relative(device.solve(b, maxiter=2).x, ours.solve(b, maxiter=2).x) < 1e-12


def test_loads_galerkin_and_bare_stencils():
    problem = poisson((31, 31))
    for options in ({"coarsening": "galerkin"}, {}):
        ours, device = pair(problem, **options)
        one, two = (solve(problem, h, tol=1e-9) for h in (ours, device))
        assert two.iterations == one.iterations
        assert relative(two.x, one.x) < 1e-12
    bare = StencilHierarchy.build(laplacian(2), shape=(31, 31), device="cpu", coarsest=30)
    assert relative(bare.solve(problem.b, cycle="FMG").x, solve(problem, device, tol=1e-8).x) < 1e-7
    with pytest.raises(ValueError, match=r"loads\(\(15, 15\)\) has shape \(3,\)"):
        device.full_multigrid(problem.b, loads=lambda shape: np.ones(3))


@pytest.mark.parametrize("shape", [(50,), (7, 9, 11), (1100,)])
def test_one_grid_is_a_direct_solve(shape):
    """By sine matrices, and by an FFT on a long axis."""
    problem = poisson(shape)
    hierarchy = StencilHierarchy.build(problem, device="cpu", max_levels=1)
    b = noise(problem.unknowns)
    x = hierarchy.solve(b, maxiter=1).x
    assert np.linalg.norm(problem.A @ x - b) < 1e-9 * np.linalg.norm(b)


def test_several_systems_at_once():
    """Each is solved to its own tolerance, whatever its size; a zero one stays zero."""
    _, device = pair(PROBLEMS["uneven"])
    sizes = torch.tensor([1.0, 1e-3, 1e5, 0.0], dtype=torch.float64).view(2, 2, 1, 1)
    b = torch.from_numpy(noise((2, 2, 40, 27))) * sizes
    found = device.solve(b, tol=1e-9)
    assert found.converged
    assert found.x.shape == b.shape
    worst = 0.0
    for i in np.ndindex(2, 2):
        alone = device.solve(b[i], tol=0.0, maxiter=found.iterations)
        assert torch.allclose(found.x[i], alone.x, rtol=1e-12, atol=1e-14 * float(alone.x.max()))
        if b[i].any():
            worst = max(worst, alone.residual_norms[-1] / alone.residual_norms[0])
        else:
            assert not found.x[i].any()
    # the norm that is reported: the largest relative one, times the largest ||b||
    largest = max(float(v.norm()) for v in b.reshape(4, -1))
    assert found.residual_norms[-1] == pytest.approx(worst * largest, rel=1e-6)
    assert worst <= 1e-9


def test_float32():
    """Systems in float64 get float32 cycles under residuals in float64; those in float32 all in
    it."""
    problem = PROBLEMS["uneven"]
    device = StencilHierarchy.build(problem, device="cpu", coarsest=30, dtype="float32")
    for cycle in ("FMG", "V"):
        found = device.solve(problem.b, tol=1e-11, cycle=cycle)
        assert found.converged
        assert found.x.dtype == np.float64
        rest = np.linalg.norm(problem.b - problem.A @ found.x)
        assert rest <= 1.01e-11 * np.linalg.norm(problem.b)
        assert found.iterations <= 11  # a factor of 0.08, as in float64
    start = device.solve(problem.b, found.x, tol=1e-11)
    assert start.iterations == 0
    short = device.solve(torch.from_numpy(problem.b).float(), tol=1e-4)
    assert short.x.dtype == torch.float32
    assert short.converged
    ended = device.solve(torch.from_numpy(problem.b).float(), tol=0.0)
    assert "rounding allows no less" in ended.message
    correction = device.apply(problem.b)
    assert correction.dtype == device.smooth(found.x, problem.b).dtype == np.float64
    ours = StencilHierarchy.build(problem, coarsest=30, threads=1)
    work = [h.full_multigrid(problem.b).work_units for h in (ours, device)]
    assert work[1] == pytest.approx(work[0] + 1.0)  # the residual in float64
    assert 1e-10 < relative(correction, ours.apply(problem.b)) < 1e-5
    # scaled to 1 before they become float32
    assert relative(device.apply(1e-60 * problem.b), 1e-60 * correction) < 1e-6


@pytest.mark.parametrize(
    ("cycles", "given", "digits"),
    [("float32", "float64", 1e-13), ("float32", "float32", 1e-6), ("float64", "float32", 1e-13)],
)
def test_iterating_reaches_the_digits_of_its_data(cycles, given, digits):
    """float32 where both data and cycles are, as `solve` has it; else a correction in float32 for
    a residual in float64."""
    problem = PROBLEMS["uneven"]
    device = StencilHierarchy.build(problem, device="cpu", coarsest=30, dtype=cycles)
    b = torch.from_numpy(noise((2, 40, 27))).to(getattr(torch, given))
    kind = torch.float32 if cycles == given == "float32" else torch.float64
    x = device.iterate(b)
    torch.testing.assert_close(x, device.apply(b), rtol=0, atol=0)
    plain = StencilHierarchy.build(problem, coarsest=30, threads=1)
    one, b64 = x.numpy().astype(float), b.numpy().astype(float)
    rests = [r - problem.A @ v for v, r in zip(one.reshape(2, -1), b64.reshape(2, -1))]
    expected = one + np.stack([plain.apply(r).reshape(40, 27) for r in rests])
    assert relative(device.iterate(b, x), expected) < 1e-5
    for _ in range(14):
        x = device.iterate(b, x)
    assert x.dtype == kind == device.solve(b, maxiter=1).x.dtype
    rest = b64.reshape(2, -1) - (problem.A @ x.reshape(2, -1).numpy().T.astype(float)).T
    scale = float(abs(problem.A).max() * x.abs().max())
    assert np.abs(rest).max() < digits * scale


class Foreign:
    """An array of another library that knows DLPack and the array standard alone."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__()

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()

    def __array_namespace__(self):
        return Foreign

    @staticmethod
    def from_dlpack(tensor):
        return Foreign(np.from_dlpack(tensor))


def test_arrays_in_arrays_out():
    problem = PROBLEMS["nested"]
    _, device = pair(problem)
    values = noise((31, 31))
    x = device.solve(values).x
    tensor = torch.from_numpy(values)
    assert isinstance(x, np.ndarray)
    assert x.shape == (31, 31)
    other = device.solve(Foreign(values)).x
    assert isinstance(other, Foreign)
    np.testing.assert_array_equal(other.values, x)
    found = device.solve(tensor.requires_grad_()).x
    assert isinstance(found, torch.Tensor)
    assert not found.requires_grad
    np.testing.assert_array_equal(found.numpy(), x)
    np.testing.assert_array_equal(tensor.detach().numpy(), values)  # and b is not changed
    np.testing.assert_array_equal(device.solve(values[::-1]).x, device.solve(values[::-1].copy()).x)
    for kind in (np.int16, np.uint8, np.float16):  # that torch computes with otherwise, or not
        whole = np.ones((31, 31), kind)
        assert relative(device.apply(whole), device.apply(whole.astype(float))) == 0.0
    same = device.solve(values, values, maxiter=0).x  # of its own, for x0 stays the caller's
    np.testing.assert_array_equal(same, values)
    assert not np.may_share_memory(same, values)
    M = device.as_preconditioner()
    assert relative(M @ values.ravel(), device.apply(values).ravel()) == 0.0


def test_norms_of_systems_in_float32_are_summed_in_float64():
    r = torch.full((2, 1, 1, 100003), 0.1, dtype=torch.float32)
    expected = 100003 * float(np.float32(0.1)) ** 2
    np.testing.assert_allclose(square_sum(r).numpy(), [expected, expected], rtol=1e-11)


def test_systems_out_of_range_are_scaled():
    problem = PROBLEMS["nested"]
    _, device = pair(problem)
    b = torch.from_numpy(problem.b)
    plain, small = device.solve(b), device.solve(b * 2.0**-600)
    assert torch.equal(small.x * 2.0**600, plain.x)
    assert small.residual_norms[0] == plain.residual_norms[0] * 2.0**-600
    with pytest.raises(ValueError, match="one by one"):
        device.solve(torch.stack([b, b * 2.0**-600]).view(2, 31, 31))


def test_the_other_door_and_other_smoothers():
    problem = PROBLEMS["nested"]
    made = nets.DeviceHierarchy.build(problem, device="cpu", coarsest=30)
    assert isinstance(StencilHierarchy.build(problem, device="cpu"), DeviceHierarchy)
    assert made.setup_seconds > 0.0
    assert "plain torch" in str(made)
    single = nets.DeviceHierarchy.build(problem, device="cpu", coarsest=30, dtype="float32")
    assert single.with_smoothers("jacobi").dtype == np.float32
    assert 2 * single.memory_bytes == made.memory_bytes
    shifted = nets.DeviceHierarchy.build(problem, device="cpu", coarsest=30, shift=True)
    assert shifted.with_smoothers().levels[0].shift == shifted.levels[0].shift > 0
    assert nets.DeviceHierarchy.build(problem, device="cpu", dtype="auto").dtype == np.float64
    other = made.with_smoothers("jacobi", pre=2, post=2)
    ours = StencilHierarchy.build(problem, smoother="jacobi", pre=2, post=2, coarsest=30)
    assert relative(other.apply(problem.b), ours.apply(problem.b)) < 1e-12


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"device": "cuda:77"}, "cuda:77"),
        ({"kernels": "cuda"}, "triton, torch"),
        ({"dtype": "float16"}, "float16"),
        ({"dtype": "float16"}, "'float64'.* 'float32'.*; mgtheory"),
        ({"coarse_solver": lambda A: A}, "coarse_solver"),
        ({"device": "meta"}, "torch has cpu"),
    ],
)
def test_refused_options(change, words):
    with pytest.raises(ValueError, match=words):
        DeviceHierarchy.build(PROBLEMS["nested"], **{"device": "cpu", **change})


def test_kernels_of_triton_are_refused_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr("nets.pde.device.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="'triton', which is not installed here; allowed: 'torch'"):
        DeviceHierarchy.build(PROBLEMS["nested"], device="cpu", kernels="triton")


@pytest.mark.parametrize("option", [{"threads": 1}, {"tell": print}])
def test_what_belongs_to_a_processor_is_refused(option):
    with pytest.raises(ValueError, match=f"leave out {next(iter(option))} or device"):
        StencilHierarchy.build(PROBLEMS["nested"], device="cpu", **option)


def test_refused_systems():
    _, device = pair(PROBLEMS["nested"])
    b = torch.zeros(31, 31, dtype=torch.float64)
    for wrong, words in (
        (b[:30], r"\(30, 31\)"),
        (b[None][:0], r"\(0, 31, 31\), .* one system or more"),
        (b.half(), "float16"),
        (np.zeros((31, 31), dtype=complex), "complex128"),
        (b.to("meta"), "on meta"),
    ):
        with pytest.raises(ValueError, match=words):
            device.solve(wrong)
    with pytest.raises(ValueError, match="an FMG cycle starts from 0"):
        device.solve(b, b, cycle="FMG")
    two = torch.zeros(2, 31, 31, dtype=torch.float64)
    for call in (device.solve, device.iterate, lambda b, x: device.smooth(x, b)):
        with pytest.raises(ValueError, match="2 systems"):
            call(b, two)


def test_without_torch_a_device_names_what_is_missing(monkeypatch):
    monkeypatch.setattr(hierarchy, "ON_DEVICES", [])
    with pytest.raises(ValueError, match="import nets"):
        StencilHierarchy.build(PROBLEMS["nested"], device="cuda")


def test_a_singular_coarsest_operator_is_refused():
    c = np.zeros((2, 2, 2))
    c[0, 0, 0], c[0, 0, 1] = -1.0, 1.0  # eigenvalues 2 cos t - 1, 0 at t = pi/3
    with pytest.raises(ValueError, match="singular"):
        SineTransform(c, (1, 1, 2), torch.device("cpu"), torch.float64)
    assert math.isclose(2.0 * math.cos(math.pi / 3), 1.0)
