"""What a notebook shows: short, and the numbers of the object."""

import torch

import nets
from mgtheory import Hierarchy, poisson, smoothing_factor, solve
from mgtheory.multigrid.solution import SHOWN
from mgtheory.problems.catalogue import create
from mgtheory.problems.problem import Problem


def test_problems_show_their_equation():
    def shown(problem):
        return problem._repr_latex_().partition("\n")[0]

    assert shown(poisson((7, 7), weights=(1.0, 0.01))) == "$-u_{xx} - 0.01 u_{yy} = f$"
    assert shown(poisson(7)) == "$-u_{xx} = f$"
    wind = create("convection2d:peclet=2,angle=90", 7)
    assert shown(wind) == "$-u_{xx} - u_{yy} + 2 u_y = f$"
    turned = create("rotated2d:epsilon=0.5,angle=45", 7)
    assert shown(turned) == "$-0.75 u_{xx} - 0.5 u_{xy} - 0.75 u_{yy} = f$"
    assert "nabla" in shown(create("jump2d", 7))
    assert shown(Problem.from_stencil([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], (7, 7))) == "$A u = b$"
    assert "Problem(convection2d:peclet=2,angle=90, 7x7" in wind._repr_latex_()


def test_hierarchies_and_starts_show_tables():
    hierarchy = Hierarchy.build(poisson((31, 31)), degree=3)
    html = hierarchy._repr_html_()
    assert html.count("<tr>") == 1 + len(hierarchy.levels)
    assert "<td>31 × 31</td><td>961</td>" in html
    assert "1 + 1 chebyshev(3)" in html
    model = nets.create_model("q2", width=4, generator=torch.Generator().manual_seed(0))
    report = nets.initialise(model, "chebyshev4", operator="laplacian", size=(8, 8))
    assert len(repr(report)) < 120
    assert repr(report).startswith("InitReport(chebyshev4, operator laplacian, 4 levels, b ")
    first = report.levels[0]
    row = f"<td>1</td><td>2</td><td>{first.radius:.4g}</td><td>{first.max_modulus:.4g}</td>"
    assert row + f"<td>{first.smoothing_factor:.4g}</td>" in report._repr_html_()


def test_solutions_and_factors_show_tables():
    """Every cycle of a short history, both ends of a long one; a factor without its samples."""
    problem = poisson((31, 31))
    solution = solve(problem, smoother="jacobi")
    html, norms = solution._repr_html_(), solution.residual_norms
    assert html.count("<tr>") == 1 + min(len(norms), SHOWN + 1)
    assert f"<td>{norms[0]:.2e}</td><td>–</td>" in html
    assert f"<td>{norms[-1]:.2e}</td><td>{norms[-1] / norms[-2]:.3f}</td>" in html
    assert repr(solution) in html
    mu = smoothing_factor(problem, "jacobi")
    assert f"<tr><td>{mu.factor:.4g}</td>" in mu._repr_html_()
    assert len(mu._repr_html_()) < 400
