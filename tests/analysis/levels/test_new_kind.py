"""A kind of factor is one entry of FACTORS, and a padding one of PADDINGS: a network with one that
the project does not know is built, started, trained, stored, read back and analysed."""

import json

import numpy as np
import pytest
import torch

import nets
from analysis.levels.identifiability import readings
from analysis.levels.report import analyse_level
from analysis.levels.state import level_states
from analysis.runs.comparison import compare
from analysis.runs.report import analyse
from analysis.runs.text import comparison_text
from mgtheory.polynomials.classical import chebyshev
from mgtheory.polynomials.factors import FACTORS, Factor, Kind, factor_from_dict
from nets.models.coefficients import parse_kind, root_warnings
from nets.models.paddings import PADDINGS, Padding
from nets.start.report import InitReport

from ..conftest import SIZE, write_run

KINDS = {
    # name: (entry, the factor of a root r of A^power)
    "cubic": (Kind(lambda k: (0, 0, k), {"k": 3}), 3),
    "double": (Kind(lambda w: (2 * w, -w * w), {"w": 1}, lambda w: (w, w)), 1),
}


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    monkeypatch.setitem(FACTORS, request.param, KINDS[request.param][0])
    return request.param


def model(kind):
    made = nets.create_model(
        "q2",
        factors=[[kind], [kind, "linear"]],
        channels=(3, 3),
        placement="relu_outside_nobn",
        in_channels=1,
        generator=torch.Generator().manual_seed(0),
    )
    report = nets.initialise(
        made, "chebyshev", operator="laplacian", size=SIZE, generator=torch.Generator()
    )
    return made, report


def test_a_network_of_a_new_kind(kind, tmp_path):
    entry, power = KINDS[kind]
    degree = parse_kind(kind)[1]
    assert degree == {"cubic": 3, "double": 2}[kind]
    start, report = model(kind)

    # the start is the family's, in A^power, relative to the level's radius b
    b = report.levels[0].radius
    root = chebyshev(1, interval=(0.25**power, 1.0)).roots[0].real * b**power
    factor = start.levels[0].steps[0].factor()
    assert (factor.kind, factor.parameters[0]) == (kind, pytest.approx(1 / root, rel=1e-6))
    again = InitReport.from_dict(json.loads(report.to_json()))
    assert again == report
    assert again.levels[0].factors == (factor,)
    assert factor_from_dict(factor.to_dict()) == factor

    # c = p(A) r as the roots have it
    A = np.diag([0.5, 1.0, 2.0])
    r = torch.ones(3, dtype=torch.float64)
    c = start.levels[0].steps[0].coefficients.double()(lambda v: torch.tensor(A) @ v, r)
    q = np.prod([1 - np.diag(A) / root for root in factor.roots], axis=0).real
    np.testing.assert_allclose(1 - np.diag(A) * c.detach().numpy(), q, rtol=1e-6)
    assert root_warnings(start.levels[0].steps[0].coefficients, start=factor) == []

    # a step of training moves the parameter along its gradient, and files keep it
    start, _ = model(kind)
    learned, _ = model(kind)
    parameter = next(learned.levels[0].steps[0].coefficients.parameters())
    before = parameter.item()
    images = torch.rand(4, 1, *SIZE, generator=torch.Generator().manual_seed(1))
    optimiser = torch.optim.SGD(learned.parameters(), lr=1e-3)
    torch.nn.functional.cross_entropy(learned(images), torch.tensor([0, 1, 2, 3])).backward()
    assert parameter.grad.abs() > 1e-6
    optimiser.step()
    assert parameter.item() == pytest.approx(before - 1e-3 * parameter.grad.item(), rel=1e-6)
    write_run(tmp_path / "run", start, learned)
    read = nets.load(tmp_path / "run")
    assert read.levels[0].steps[0].factor().parameters == (parameter.item(),)

    # and the analysis reads, judges and compares it
    state = level_states(read, SIZE)[0]
    (reading,) = readings(state)
    assert (reading.name, reading.power) == (
        next(iter(entry.parameters)),
        entry.parameters.get("k", 1),
    )
    assert reading.shares_scale  # with the residual's batch norm
    np.testing.assert_allclose(state.polynomial.weights**power, parameter.item(), rtol=1e-6)
    found = analyse(tmp_path / "run", write=False)
    assert found.levels[0].views["learned"].polynomial == state.polynomial
    assert found.levels[0].views["learned"].polynomial.degree == degree
    assert "level" in comparison_text(compare([tmp_path / "run"]))


def test_a_norm_after_a_new_kind_keeps_what_its_formula_says(kind):
    """One term: its size is lost, nothing is kept. 2w and -w^2: their ratio is w, which is kept."""
    made = nets.create_model(
        "q2", factors=[kind, "linear"], channels=(3, 3), placement="regular", in_channels=1
    )
    reading = readings(level_states(made, SIZE)[1])[0]
    assert reading.identifiable == (kind == "double")
    assert reading.keeps == ({} if kind == "cubic" else {"r1 + r2": pytest.approx(2.0)})


def test_a_network_with_a_new_padding(tmp_path, monkeypatch):
    """Start and report go by the matrix of the module itself, from 5 x 5 to 2 x 2."""
    monkeypatch.setitem(PADDINGS, "replicate", Padding("replicate"))
    made = nets.create_model(
        "q2",
        channels=(3, 6, 6),
        factors=[["linear"], ["linear"], ["linear", "linear"]],
        padding_mode="replicate",
        in_channels=1,
        generator=torch.Generator().manual_seed(0),
    )
    generator = torch.Generator().manual_seed(1)
    report = nets.initialise(made, "chebyshev4", size=(5, 5), generator=generator)
    assert InitReport.from_dict(json.loads(report.to_json())) == report
    write_run(tmp_path / "run", made, made)
    assert "replicate" in {r.operators["learned"].padding for r in analyse(tmp_path / "run").levels}
    states = level_states(nets.load(tmp_path / "run"), (5, 5))
    assert [state.size for state in states] == [(5, 5), (3, 3), (2, 2)]
    for level, started, state in zip(made.levels, report.levels, states, strict=True):
        n = level.A.in_channels * state.size[0] * state.size[1]
        with torch.no_grad():
            rows = level.A(torch.eye(n).reshape(n, -1, *state.size)).reshape(n, n).double()
        b = np.abs(np.linalg.eigvals(rows.numpy())).max()
        assert (level.A.padding_mode, started.padding) == ("replicate", "replicate")
        assert started.radius == pytest.approx(b, rel=1e-5)
        operator = analyse_level(1, state, state).operators["learned"]
        assert operator.padding == "replicate"
        assert operator.radius == pytest.approx(b, rel=1e-5)


def test_an_unknown_kind_stays_unknown():
    with pytest.raises(ValueError, match="unknown kind of step 'cubic'"):
        parse_kind("cubic")
    with pytest.raises(ValueError, match="unknown factor kind 'cubic'"):
        Factor("cubic", (1.0,))
