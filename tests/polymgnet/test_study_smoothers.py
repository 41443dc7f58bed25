"""A study of smoothers: what its rows measure, what it refuses, and by what a run is found."""

import functools
import inspect
import re
from types import SimpleNamespace

import pytest

from nets.pde.descent import INTERRUPTED
from nets.pde.learn import learn_smoother
from polymgnet.errors import Stopped
from polymgnet.study.smoothers import SmootherRun, learned, measure


def test_a_study_of_smoothers(document, refused, tmp_path):
    """Its rows have the measured factor: of damping all but the smooth errors of poisson1d, and of
    what is learned from there, which is no larger; a family without that degree says so."""
    file = tmp_path / "smooth.toml"
    file.write_text(
        'kind = "smoother"\nout = "%s"\nrows = "."\n' % (tmp_path / "runs")
        + '[set]\nproblem = "poisson2d"\nn = 15\nseed = 0\n[grid]\ndegree = [2]\n'
        + 'smoother = ["chebyshev4", "mls",'
        + ' { label = "l", smoother = "learned", steps = 1, power = 4 }]\n'
    )
    data = document("study", file, "--jobs", 1)
    classical, missing, learned = (entry["summary"] for entry in data["runs"])
    assert learned["factor_start"] == classical["factor"]
    assert 0 < learned["factor"] < classical["factor"] < 0.3
    assert "factor" not in missing
    assert "mls" in missing["refused"]
    assert len((tmp_path / "smooth.jsonl").read_text().splitlines()) == 3
    for command, of in (("report", file), ("analyze", tmp_path / "runs"), ("figures", file)):
        assert "holds no run of a network; smoothers" in refused(command, of)


def test_a_learning_is_heard_of_and_its_end_by_ctrl_c_is_no_row(tmp_path, monkeypatch):
    """What was found until then is not what the settings stand for."""
    given = {"problem": "poisson2d", "n": 15, "degree": 2, "smoother": "learned", "steps": 1}
    heard = []
    SmootherRun({}, "", given, tmp_path / "whole")(report=heard.append)
    assert re.fullmatch(r"whole, [\d,]+ cycles, loss 0\.\d+", heard[-1])

    learned.cache_clear()
    stopped = SmootherRun({}, "", given, tmp_path / "stopped")
    with pytest.raises(Stopped, match="the same command learns it anew"):
        stopped(stop=lambda: True)
    assert not stopped.finished
    cut = SimpleNamespace(reason=f"{INTERRUPTED}; the loss fell further")
    ended = functools.wraps(learn_smoother)(lambda *_, **__: cut)
    monkeypatch.setattr("nets.pde.learn.learn_smoother", ended)
    run = SmootherRun({}, "", given, tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        run()
    assert not run.finished


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("n = 15", "m = 15", "unknown setting 'm'"),
        ("n = 15", 'n = "15"', "n is '15', must be a whole number"),
        ("n = 15\n", "", "n is missing"),
        ("chebyshev4", "jacobi", "unknown smoother 'jacobi', allowed are learned"),
        ("poisson2d", "poison2d", "unknown problem 'poison2d', allowed are"),
        ("n = 15", 'n = 15\nloss = "mean"', "loss is given for the smoother 'chebyshev4'"),
        ("n = 15", "n = 15\npower = 2", "power is given for the smoother 'chebyshev4'"),
        ("n = 15", 'n = 15\nloss = "nonsense"', "unknown loss 'nonsense', allowed are mean, worst"),
        ("n = 15", 'n = 15\nstart = "cheb"', "unknown start 'cheb', allowed are"),
    ],
)
def test_a_wrong_study_of_smoothers(refused, tmp_path, old, new, said):
    text = (
        'kind = "smoother"\nout = "x"\n[set]\nproblem = "poisson2d"\nn = 15\n'
        '[grid]\ndegree = [2]\nsmoother = ["chebyshev4"]\n'
    )
    assert old in text
    file = tmp_path / "smooth.toml"
    file.write_text(text.replace(old, new))
    assert said in refused("study", file)


def test_a_smoother_is_found_by_what_its_learning_does(monkeypatch, tmp_path):
    """A default that is given is the same run; where the default is another, it is another run."""
    given = {"problem": "poisson2d", "n": 15, "degree": 2, "smoother": "learned"}

    def digest(**settings):
        return SmootherRun({}, "", given | settings, tmp_path).digest

    before, classical = digest(), digest(smoother="chebyshev4")
    assert digest(power=12, loss="worst", start="chebyshev4", steps=15) == before
    assert len({before, digest(power=13), digest(loss="mean"), classical}) == 4
    monkeypatch.setitem(inspect.unwrap(learn_smoother).__kwdefaults__, "batch", 9)
    assert digest() != before
    assert digest(smoother="chebyshev4") == classical


def test_a_fault_is_no_row(run, tmp_path, monkeypatch):
    """What has gone wrong on the way is a failure, to be tried again; not a refusal to commit."""
    file = tmp_path / "smooth.toml"
    file.write_text(
        'kind = "smoother"\nout = "%s"\nrows = "."\n' % (tmp_path / "runs")
        + '[set]\nproblem = "poisson2d"\nn = 15\nsmoother = "chebyshev4"\n[grid]\ndegree = [2]\n'
    )

    def broken(*given):
        raise ValueError("array must not contain infs or NaNs")

    monkeypatch.setattr("nets.pde.learned.measured_factor", broken)
    result = run("study", file)
    assert result.status == 1
    assert "array must not contain infs" in result.err
    assert not (tmp_path / "smooth.jsonl").exists()


def test_what_was_learned_for_a_leg_smooths_on_that_leg(monkeypatch, tmp_path):
    """Before the correction one polynomial of every level, after it another."""
    legs = SimpleNamespace(before="abc", after="xyz", reason="")
    seen = []

    def build(problem, *, smoother, post_smoother, **around):
        seen.append((smoother, post_smoother))

    monkeypatch.setattr("polymgnet.study.smoothers.learned", lambda *given, **options: legs)
    monkeypatch.setattr("nets.pde.learned.measured_factor", lambda *given: 0.5)
    monkeypatch.setattr("mgtheory.Hierarchy.build", build)
    given = {"problem": "poisson1d", "n": 7, "degree": 1, "smoother": "learned"}
    measure(**SmootherRun({}, "", given, tmp_path)._given)
    level = SimpleNamespace(index=1)
    assert [leg(level) for leg in seen[0]] == ["b", "y"]
