"""Arguments of the analysis that are not allowed: one line, before anything is measured."""

import pytest

from analysis import along_training, analyse, compare, comparison_text, report_text
from analysis.runs.records import read_metrics, read_run
from mgtheory import derive

from ..conftest import planted_model, write_run


@pytest.fixture
def run(tmp_path):
    model = planted_model([[0.2], [0.2, 0.2]])
    return write_run(tmp_path / "run", model, model, sources=(derive("chebyshev4", 2, 8.0),))


WRONG = {
    "reference": (lambda run: analyse(run, reference="foo"), "unknown scheme 'foo', known are"),
    "no family": (lambda run: analyse(run, reference="xavier"), "reference is 'xavier', must be a"),
    "number": (lambda run: analyse(run, reference=3), "reference is 3, must be a family"),
    "of several": (lambda run: compare([run], reference="xavier"), "reference is 'xavier'"),
    "tolerance": (lambda run: analyse(run, tolerance="x"), "tolerance is 'x', must be a number"),
    "truth": (lambda run: analyse(run, tolerance=True), "tolerance is True, must be a number"),
    "progress": (lambda run: analyse(run, progress=3), "progress is 3, must be callable"),
    "several": (lambda run: along_training([run]), "run is a list, must be the folder of a run"),
    "along": (lambda run: along_training(run, progress=3), "progress is 3, must be callable"),
    "run": (lambda run: compare([3]), "run 3 is an int, must be the folder of a run"),
    "text": (lambda run: compare(str(run)), "runs are a str, must be a list of run folders"),
    "label": (lambda run: compare([run], labels=[3]), r"labels are \[3\], must be a list of as"),
    "labels": (lambda run: compare([run], labels=3), "labels are 3, must be a list of as many"),
    "lines": (lambda run: compare([run], labels=["a\nb"]), r"label 'a\\nb' has several lines"),
    "steps": (lambda run: compare([run], progress=3), "progress is 3, must be callable"),
    "report": (report_text, "report is a PosixPath, must be what analyse returns"),
    "comparison": (comparison_text, "found is a PosixPath, must be what compare returns"),
}


@pytest.mark.parametrize("name", WRONG)
def test_arguments_are_named(run, name):
    """Of a run that started from a family, which needs no reference, too."""
    assert read_run(run).theory.origin == "start"
    call, said = WRONG[name]
    with pytest.raises(ValueError, match=said) as error:
        call(run)
    assert "\n" not in str(error.value)
    assert not (run / "report").exists()


def test_a_file_where_the_report_is_to_lie(run):
    """Before anything is measured; what asks for no file is answered."""
    (run / "report").write_text("notes of mine")
    with pytest.raises(NotADirectoryError, match=r"report is a file, .* move it away"):
        analyse(run)
    assert (run / "report").read_text() == "notes of mine"
    assert analyse(run, write=False).levels


@pytest.mark.parametrize("text", ["epoch,train_loss\n1,a\n", "epoch,train_loss\n1,0.5\n2,0,5;\n"])
def test_metrics_that_are_no_numbers(run, text):
    """Told with the file; figures said that a run must be a list of numbers."""
    (run / "metrics.csv").write_text(text)
    with pytest.raises(ValueError, match=r"metrics\.csv: "):
        read_metrics(run)


def test_losses_that_are_not_finite_or_missing_are_numbers(run):
    (run / "metrics.csv").write_text("epoch,train_loss,val_loss\n1,nan,\n2,inf,\n")
    assert read_metrics(run)["train_loss"].tolist()[1] == float("inf")
    (run / "metrics.csv").write_text("epoch,train_loss\n")  # of no epoch yet
    assert read_metrics(run).empty
