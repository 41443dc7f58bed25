"""The bridge: equal to the scipy.sparse cycle, differentiable, batched, and a two-way road between
equation and network."""

import numpy as np
import pytest
import torch

import mgtheory
import nets
from mgtheory import problems
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.models.blocks import Level

PROBLEMS = {
    "1d": (lambda: problems.poisson((31,)), {"coarsest": 3}),
    "2d": (lambda: problems.poisson((31, 15)), {"coarsest": 9}),
    "2d galerkin": (lambda: problems.poisson((15, 15)), {"coarsening": "galerkin", "coarsest": 9}),
    "2d periodic": (lambda: problems.poisson((16, 32), boundary="periodic"), {"coarsest": 8}),
    "2d 9 points": (lambda: problems.create("poisson2d-9point", 15), {"coarsest": 9}),
    "2d elements": (lambda: problems.create("poisson2d-q1", 15), {"coarsest": 9}),
    "2d anisotropic": (lambda: problems.create("anisotropic2d", 15), {"coarsest": 9}),
    "3d": (lambda: problems.poisson((7, 7, 15)), {"coarsest": 30}),
}


def compared(problem, options, cycle="V", pre=1, post=1, shared=True, degree=3):
    """(torch, scipy) corrections of one cycle for the same residuals, shape (3, n)."""
    rng = np.random.default_rng(0)
    r = rng.standard_normal((3, problem.A.shape[0]))
    if problem.nullspace is not None:
        r -= r.mean(axis=1, keepdims=True)
    ours = nets.MultigridCycle(
        problem,
        smoother="chebyshev4",
        degree=degree,
        pre=pre,
        post=post,
        cycle=cycle,
        shared=shared,
        **options,
    )
    peer = Hierarchy.build(
        problem, smoother="chebyshev4", degree=degree, pre=pre, post=post, **options
    )
    e = ours(torch.from_numpy(r).reshape(3, *problem.shape)).detach().numpy().reshape(3, -1)
    f, g = (np.stack([h.apply(row, cycle) for row in r]) for h in (peer, ours.hierarchy()))
    if problem.nullspace is not None:
        e, f, g = (v - v.mean(axis=1, keepdims=True) for v in (e, f, g))
    return e, f, g


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize(("cycle", "pre", "post"), [("V", 1, 1), ("W", 2, 0), ("F", 0, 1)])
def test_equals_the_sparse_cycle(name, cycle, pre, post):
    make, options = PROBLEMS[name]
    for shared in (True, False):
        ours, peer, back = compared(make(), options, cycle, pre, post, shared)
        # rounding in float64
        np.testing.assert_allclose(ours, peer, rtol=0, atol=1e-12 * np.abs(peer).max())
        np.testing.assert_allclose(ours, back, rtol=0, atol=1e-12 * np.abs(peer).max())


def test_full_multigrid_with_the_learned_polynomials_is_the_hierarchys():
    problem = problems.poisson((31, 31))
    solution = (
        nets.MultigridCycle(problem, smoother="chebyshev4", degree=2, coarsest=9)
        .hierarchy()
        .solve(problem.b, cycle="FMG", tol=1e-10)
    )
    peer = Hierarchy.build(problem, smoother="chebyshev4", degree=2, coarsest=9).solve(
        problem.b, cycle="FMG", tol=1e-10
    )
    assert solution.converged
    np.testing.assert_allclose(solution.residual_norms, peer.residual_norms, rtol=1e-6)
    with pytest.raises(ValueError, match="allowed are: V, W, F"):
        nets.MultigridCycle(problem, cycle="FMG")


def test_polynomials_of_shared_coefficients_are_not_set():
    cycle = nets.MultigridCycle(problems.poisson((7, 7)), degree=1, coarsest=9)
    with pytest.raises(ValueError, match="shared"):
        cycle.set_polynomials([], [])


@pytest.mark.parametrize("name", ["2d", "2d periodic"])
def test_full_multigrid(name):
    """The values of the sparse hierarchy, and derivatives, against finite differences."""
    problem, options = PROBLEMS[name][0](), PROBLEMS[name][1]
    cycle = nets.MultigridCycle(problem, smoother="chebyshev4", degree=2, **options)
    b = problem.b if problem.nullspace is None else problem.b - problem.b.mean()
    right = torch.from_numpy(b).reshape(problem.shape)
    sparse = cycle.hierarchy()
    for given in ({}, {"cycles": 1, "loads": problem.equation.load}):
        x = cycle.full_multigrid(torch.stack([right, 2 * right]), **given)
        expected = sparse.full_multigrid(b, **{"cycles": 2, **given}).x
        if not given:
            torch.testing.assert_close(x[1], 2 * x[0])
        found = x[0].detach().numpy().ravel()
        if problem.nullspace is not None:
            found, expected = found - found.mean(), expected - expected.mean()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())
    (weight,) = [p for p in cycle.parameters() if p.requires_grad and p.numel() == 1][:1]
    loss = cycle.full_multigrid(right).square().sum()
    (slope,) = torch.autograd.grad(loss, weight)
    h, values = 1e-4 * float(weight.detach()), []
    for sign in (1, -2):
        with torch.no_grad():
            weight += sign * h
            values.append(float(cycle.full_multigrid(right).square().sum()))
    step = (values[0] - values[1]) / (2 * h)
    assert float(slope) == pytest.approx(step, rel=1e-4, abs=1e-11 * float(loss.detach()) / h)
    with pytest.raises(ValueError, match="must be"):
        cycle.full_multigrid(right[..., 1:])


def test_complex_roots_and_a_polynomial_of_ones_own():
    problem = problems.poisson((15, 15))
    b = problem.spectrum().b
    q = ResidualPolynomial(np.array([0.9, 0.4 + 0.2j, 0.4 - 0.2j]) * b)
    ours = nets.MultigridCycle(problem, smoother=q, coarsest=9)
    peer = Hierarchy.build(problem, smoother=q, coarsest=9)
    e = ours(torch.from_numpy(problem.b).reshape(15, 15)).detach().numpy().ravel()
    np.testing.assert_allclose(e, peer.apply(problem.b), rtol=0, atol=1e-12 * np.abs(e).max())
    np.testing.assert_allclose(ours.polynomial().roots, q.roots, rtol=1e-13)


def test_iterating_solves_the_problem():
    problem = problems.poisson((31, 31))
    cycle = nets.MultigridCycle(problem, smoother="chebyshev", degree=3)
    b = torch.from_numpy(problem.b).reshape(31, 31)
    with torch.no_grad():
        x = cycle(b)
        for _ in range(12):
            x = cycle(b, x)
    expected = torch.linalg.solve(torch.from_numpy(problem.A.toarray()), b.ravel()).reshape(31, 31)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-10 * float(expected.abs().max()))


@pytest.mark.parametrize(("boundary", "n"), [("dirichlet", 15), ("periodic", 16)])
def test_transfers_are_adjoint_and_keep_constants(boundary, n):
    """<R r, e> = 2^-d <r, P e>, and full weighting keeps a constant (away from a Dirichlet
    boundary)."""
    cycle = nets.MultigridCycle(
        problems.poisson((n, n), boundary=boundary), coarsest=16, max_levels=2
    )
    transfer, m = cycle.transfers[0], cycle.shapes[1][0]
    r, e = (
        torch.randn(1, 1, n, n, dtype=torch.float64),
        torch.randn(1, 1, m, m, dtype=torch.float64),
    )
    left, right = (
        (transfer.restrict(r) / transfer.gain * e).sum(),
        (r * transfer.interpolate(e)).sum() / 4,
    )
    torch.testing.assert_close(left, right, rtol=1e-13, atol=1e-13)
    ones = transfer.restrict(torch.ones_like(r)) / transfer.gain
    torch.testing.assert_close(ones, torch.ones_like(ones))
    assert transfer.gain == pytest.approx(4.0)  # (2h)^2 / h^2


@pytest.mark.parametrize("shared", [True, False])
def test_gradient_with_respect_to_coefficients_and_input(shared):
    """torch's own check: every derivative against finite differences in float64."""
    problem = problems.poisson((7, 7))
    cycle = nets.MultigridCycle(problem, smoother="chebyshev", degree=2, shared=shared, coarsest=1)
    names, values = zip(*((k, p) for k, p in cycle.named_parameters() if p.requires_grad))
    scale = problem.spectrum().b

    def outcome(b, *weights):  # weights are of size 1/b
        return scale * torch.func.functional_call(
            cycle, dict(zip(names, (w / scale for w in weights))), (b,)
        )

    b = torch.randn(2, 7, 7, dtype=torch.float64, requires_grad=True)
    assert len(names) == (2 if shared else 8)
    assert torch.autograd.gradcheck(
        outcome, (b, *((v.detach() * scale).requires_grad_() for v in values)), rtol=1e-5, atol=1e-7
    )


def test_the_same_levels_as_the_networks():
    cycle = nets.MultigridCycle(
        problems.poisson((15, 15)), smoother="chebyshev4", degree=2, coarsest=9
    )
    assert all(isinstance(level, Level) for level in [*cycle.down, *cycle.up])
    assert sum(p.requires_grad for p in cycle.parameters()) == 2
    assert len(cycle.state_dict()) == len({t.data_ptr() for t in cycle.state_dict().values()})


@pytest.mark.parametrize(("pre", "post"), [(1, 1), (2, 1), (3, 0)])
@pytest.mark.parametrize("shared", [True, False])
def test_a_coefficient_stands_once_in_the_state_however_often_it_smooths(shared, pre, post):
    """Degree 2: two weights for all, or two for each leg that smooths on each of the two levels
    above the coarsest."""
    cycle = nets.MultigridCycle(
        problems.poisson((15, 15)), degree=2, pre=pre, post=post, shared=shared, coarsest=9
    )
    state = cycle.state_dict()
    assert len(state) == len({t.data_ptr() for t in state.values()})
    weights = [p for p in cycle.parameters() if p.requires_grad]
    assert len(weights) == (2 if shared else 2 * 2 * ((pre > 0) + (post > 0)))
    assert sum(name.endswith(".w") for name in state) == len(weights)
    other = nets.MultigridCycle(
        problems.poisson((15, 15)),
        smoother="chebyshev4",
        degree=2,
        pre=pre,
        post=post,
        shared=shared,
        coarsest=9,
    )
    other.load_state_dict(state)
    b = torch.randn(15, 15, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(other(b), cycle(b))


def test_from_the_equation_into_a_network_and_back(tmp_path):
    problem = problems.poisson((31, 31))
    learned = nets.learn_smoother(problem, 2, steps=3, generator=torch.Generator().manual_seed(0))
    learned.initial.save(tmp_path / "init.json")
    model = nets.create_model("q2", width=4, levels=2)
    report = nets.initialise(
        model, f"file:{tmp_path}/init.json", operator="laplacian", small=0.0, size=(16, 16)
    )
    # A = Laplacian / 8 with zero padding, spectrum (0, b], b a little below 1
    b = report.levels[0].radius
    assert b == pytest.approx(np.cos(np.pi / 34) ** 2, rel=1e-4)
    q = model.levels[0].polynomial().scaled(1 / b)
    # float32 parameters
    np.testing.assert_allclose(q.roots, learned.initial.relative.roots, rtol=1e-6)
    assert report.levels[0].smoothing_factor < 0.5
    back = nets.MultigridCycle(problem, smoother=q.scaled(problem.smoothing_interval().b))
    assert back.convergence_factor(generator=torch.Generator().manual_seed(0)) == pytest.approx(
        learned.factor, rel=1e-4
    )


def test_learning_finds_one_optimum_from_two_starts():
    problem = problems.poisson((31, 31))
    runs = [
        nets.learn_smoother(problem, 2, start=start, generator=torch.Generator().manual_seed(0))
        for start in ("chebyshev4", "chebyshev4_opt")
    ]
    for run in runs:
        assert run.factor <= run.factor_start
        assert run.losses[-1] < run.losses[0]
        assert run.converged, run.reason
    np.testing.assert_allclose(runs[0].polynomial.roots, runs[1].polynomial.roots, rtol=1e-3)
    # worth it: better than Chebyshev on the high frequencies, the usual choice
    assert (
        runs[0].factor
        < nets.MultigridCycle(problem, smoother="chebyshev", degree=2).convergence_factor()
    )


@pytest.mark.parametrize(
    ("problem", "options", "message"),
    [
        (lambda: problems.poisson((16, 16)), {}, "do not nest"),
        (lambda: problems.poisson((15, 15), boundary="periodic"), {"coarsest": 4}, "do not nest"),
        (lambda: problems.poisson((16, 16), boundary="neumann"), {}, "neumann"),
        (lambda: problems.create("variable2d", 15), {"coarsest": 9}, "constant"),
        (lambda: problems.poisson((15, 15)), {"smoother": "jacobi", "coarsest": 9}, "polynomial"),
        (lambda: problems.poisson((15, 15)), {"pre": 0, "post": 0}, "positive"),
        (lambda: problems.poisson((15, 15)), {"cycle": "X"}, "allowed are"),
        (lambda: problems.poisson((15, 15)), {"pre": None}, "pre is None, must be a whole number"),
        (lambda: problems.poisson((7, 7)), {"coarsest": 64}, "two levels"),
        *(
            (lambda: problems.poisson((15, 15)), {"coarsest": 9, name: value}, f"option '{name}'")
            for name, value in (
                ("interpolation", "cubic"),
                ("restriction", "half"),
                ("post_smoother", "chebyshev4"),
                ("transfers", lambda level: None),
            )
        ),
    ],
)
def test_bad_input(problem, options, message):
    with pytest.raises(ValueError, match=message):
        nets.MultigridCycle(problem(), **options)


def test_wrong_shapes_and_starts():
    problem = problems.poisson((15, 15))
    cycle = nets.MultigridCycle(problem, coarsest=9)
    with pytest.raises(ValueError, match="15, 15"):
        cycle(torch.zeros(3, 14, 15, dtype=torch.float64))
    with pytest.raises(ValueError, match="cycles is 0"):
        cycle.convergence_factor(cycles=0)
    for start, allowed in (("red-black", "; .* the name of a family"), (3.0, ", must be a name")):
        with pytest.raises(ValueError, match=f"smoother is {start!r}{allowed}"):
            nets.learn_smoother(problems.create("poisson2d", n=15), 2, start=start)
    with pytest.raises(ValueError, match="degree 1, asked is 2"):
        nets.learn_smoother(problem, 2, start=ResidualPolynomial([5.0]))
    with pytest.raises(ValueError, match="does not converge"):
        nets.learn_smoother(problem, 1, start=ResidualPolynomial([0.1]), coarsest=9)


def test_complex_numbers_are_refused_where_they_would_be_cut():
    from nets.pde.solve import TorchHierarchy

    problem = problems.poisson((15, 15))
    with pytest.raises(ValueError, match="b has type complex128, must be real"):
        TorchHierarchy(problem, coarsest=9).solve(problem.b * (1 + 1j))
    with pytest.raises(ValueError, match=r"b has shape \(100,\), must be of shape \(225,\)"):
        TorchHierarchy(problem, coarsest=9).solve(np.ones(100))


def test_a_solution_is_not_the_memory_of_its_start():
    """Where no cycle is wanted x was the caller's x0 itself."""
    from nets.pde.solve import TorchHierarchy

    problem = problems.poisson((7, 7))
    start = np.zeros(49)
    found = TorchHierarchy(problem, coarsest=9).solve(problem.b, start, tol=2.0)
    assert found.iterations == 0
    assert not np.shares_memory(found.x, start)


def test_masked_entries_are_refused():
    """By each cycle, of b, of a start and of coarse loads: what stands below a mask would count. A
    masked array without one is an array."""
    from nets.pde.solve import TorchHierarchy

    problem = problems.poisson((7, 7))
    masked = np.ma.masked_less(problem.grid[0] + 0.0 * problem.grid[1], 0.2)
    cycle = nets.MultigridCycle(problem, coarsest=9)
    torchs = TorchHierarchy(problem, coarsest=9)
    device = mgtheory.StencilHierarchy.build(problem, device="cpu", coarsest=9)
    for solver in (torchs, device):
        whole = solver.solve(np.ma.masked_array(problem.b))
        np.testing.assert_array_equal(whole.x, solver.solve(problem.b).x)
        for given in ({"b": masked}, {"b": problem.b, "x0": masked}):
            name = list(given)[-1]
            with pytest.raises(ValueError, match=f"{name} is a masked array, 7 of its 49 entries"):
                solver.solve(**given)
        with pytest.raises(ValueError, match=r"loads\(\(3, 3\)\) is a masked array"):
            solver.solve(problem.b, cycle="FMG", loads=lambda shape: masked[:3, :3])
    b = torch.from_numpy(problem.b.reshape(7, 7))
    with pytest.raises(ValueError, match=r"loads\(\(3, 3\)\) is a masked array"):
        cycle.full_multigrid(b, loads=lambda shape: masked[:3, :3])
    for call in (cycle, cycle.reduced, cycle.full_multigrid, lambda x: cycle.residual(b, x)):
        for wrong in (masked, problem.b.reshape(7, 7), b.tolist()):
            with pytest.raises(ValueError, match=r"[bex] is a \w+, must be a tensor"):
                call(wrong)
        with pytest.raises(ValueError, match="float32 on cpu, the cycle torch"):
            call(b.float())


def test_axes_in_another_order_are_refused():
    """Of a grid with sizes that differ: read in C order they would be another function."""
    from nets.pde.solve import TorchHierarchy

    problem = problems.poisson((7, 15))
    cycle = TorchHierarchy(problem, coarsest=9, axes="all")
    expected = cycle.solve(problem.b).x
    for shape in ((7, 15), (105, 1)):
        np.testing.assert_array_equal(cycle.solve(problem.b.reshape(shape)).x.ravel(), expected)
    with pytest.raises(ValueError, match=r"b has shape \(15, 7\)"):
        cycle.solve(problem.b.reshape(15, 7))
    with pytest.raises(ValueError, match=r"x0 has shape \(15, 7\)"):
        cycle.solve(problem.b, problem.b.reshape(15, 7))
    for wrong in (lambda shape: np.ones(shape[::-1]), lambda shape: np.ones(3)):
        with pytest.raises(ValueError, match=r"loads\(\(3, 7\)\) has shape .*, must be \(21,\) or"):
            cycle.full_multigrid(problem.b, loads=wrong)
