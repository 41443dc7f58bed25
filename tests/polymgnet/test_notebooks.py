"""What a notebook shows: short, and the numbers of the object."""

import re
import sys
from types import SimpleNamespace

import torch

import nets
from mgtheory import Hierarchy, poisson, smoothing_factor, solve
from mgtheory.multigrid.solution import SHOWN
from mgtheory.problems.catalogue import create
from mgtheory.problems.problem import Problem
from nets.pde.learn import learn_smoother
from nets.training.folder import Summary
from nets.training.notebook import Bar, in_notebook


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


def test_what_training_gives_is_a_line_and_a_table():
    config = nets.load_config("q2", ["epochs=3", "width=8"])
    shown = repr(config)
    assert shown.startswith("TrainConfig(model.name='q2', model.width=8,")
    assert "train.epochs=3" in shown
    assert "options" not in shown  # the default
    assert "<tr><td>train.epochs</td><td>3</td></tr>" in config._repr_html_()
    facts = {"model": "q2", "data": "digits", "test_accuracy": 0.5404, "notes": ["a < b"]}
    summary = Summary(finished=False, parameters=3622, epochs=2, **facts)
    assert repr(summary) == (
        "Summary(q2 on digits, test accuracy 54.04 %, validation accuracy –, weights 3,622,"
        " epochs 2, time 0.0 s, not finished)"
    )
    html = summary._repr_html_()
    assert "<td>54.04 %</td><td>–</td><td>3,622</td><td>2</td>" in html
    assert "resume=True" in html
    assert "a &lt; b" in html


def test_a_learned_smoother_is_a_line_not_its_modules():
    learned = learn_smoother(poisson((15, 15)), 1, steps=1)
    line, html = repr(learned), learned._repr_html_()
    assert f"factor {learned.factor_start:.4g} -> {learned.factor:.4g}" in line
    assert "\n" not in line
    assert (
        f"<tr><td>0</td><td>{learned.losses[0]:.4g}</td><td>{learned.factors[0]:.4g}</td>" in html
    )


def test_in_a_notebook_one_bar_is_drawn_anew(tmp_path, monkeypatch, capsys):
    drawn = []

    class Handle:
        def update(self, html):
            drawn.append(html)

    def display(html, display_id):
        assert display_id
        drawn.append(html)
        return Handle()

    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display, HTML=str))
    sets = ["data=digits", "epochs=2", "levels=1", "width=2", "train.tensorboard=false"]
    nets.train(nets.load_config("q2", sets), tmp_path / "run")
    out, err = capsys.readouterr()
    assert "test accuracy" in out
    assert "epoch 1/2" not in out  # it is the bar's note
    assert "\r" not in out
    assert not err  # which a notebook shows as an error
    assert re.search(r'max="(\d+)" value="0"', drawn[0])
    assert re.search(r'max="(\d+)" value="\1".*epoch 2/2: loss', drawn[-1])
    shell.kernel = None
    assert not in_notebook()  # IPython in a terminal


def test_the_bar_tells_the_time_that_is_left_by_the_steps_of_this_part(monkeypatch):
    """Of 100 steps 40 were done before: 10 more in 20 seconds leave 50, and 100 seconds."""
    shown = []
    handle = SimpleNamespace(update=shown.append)
    display = SimpleNamespace(
        HTML=str, display=lambda html, display_id: shown.append(html) or handle
    )
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    now = [1000.0]
    monkeypatch.setattr("nets.training.notebook.time", SimpleNamespace(monotonic=lambda: now[0]))
    bar = Bar(100, 40)
    assert shown[-1].endswith("</progress> 40 of 100 steps</div>")
    for _ in range(10):
        now[0] += 2.0
        bar.advance()
    assert 'max="100" value="50"' in shown[-1]
    assert "50 of 100 steps, 100 s left" in shown[-1]
    now[0] += 0.1
    drawn = len(shown)
    bar.advance()
    assert len(shown) == drawn  # not drawn anew so soon
    bar.done = 100
    bar.update(note="a < b")
    assert shown[-1].endswith("100 of 100 steps, 20 s, a &lt; b</div>")
