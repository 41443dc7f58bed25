"""A wrong value ends with exit status 2 and one line that says what was given and what is allowed;
nothing is written or overwritten."""

import json
import os
import threading

import pytest

WRONG = {
    "derive --family nonsense --degree 3": ("nonsense", "chebyshev4"),
    "derive --family chebyshev --degree 0": ("0", "1 to 256"),
    "derive --family chebyshev --degree 1000": ("1000", "256"),
    "derive --family chebyshev --degree 2.5": ("2.5",),
    "derive --family chebyshev --degree two": (
        "'--degree': allowed is a whole number, got 'two' (see polymgnet derive --help)\n",
    ),
    "solve --tol small": ("'--tol': allowed is a number, got 'small'",),
    "derive --family mls --degree 5": ("5", "4, 7, 10"),
    "derive --family chebyshev --degree 3 --interval 8 2": ("8", "2", "a < b"),
    "derive --family chebyshev --degree 3 --interval 2 2": ("2", "a < b"),
    "derive --family chebyshev --degree 3 --interval 0 2": ("(0, 2]", "0 < A < B"),
    "derive --family chebyshev --degree 3 --interval -1 2": ("-1",),
    "derive --family chebyshev4 --degree 3 --interval 3 1": ("3", "a < b"),
    "derive --family chebyshev4 --degree 3 --interval -1 2": ("-1", "from 0 on"),
    "derive --family chebyshev --degree 3 --interval nan 2": ("nan",),
    "derive --family chebyshev4 --degree 3 --lmax -8": ("-8",),
    "derive --family chebyshev4 --degree 3 --lmax inf": ("inf",),
    "derive --family chebyshev --degree 3 --lmax 8": (
        "a spectrum in (0, 8], it needs --problem, --matrix with --shape, or --interval A B",
    ),
    "derive --family chebyshev --degree 3 --interval 1 2 --lmax 8": (
        "--interval and --lmax",
        "only one",
    ),
    "derive --family chebyshev --degree 3 --interval 1 2 --n 31": ("--n belongs to --problem",),
    "derive --family chebyshev4 --degree 3 --lmax 2 --boundary periodic": (
        "--boundary belongs to --problem",
    ),
    "derive --family chebyshev --degree 3 --problem nonsense": ("nonsense", "poisson2d"),
    "derive --family chebyshev --degree 3 --n 0": ("0", "at least 1"),
    "derive --family chebyshev --degree 3 --boundary open": (
        "open",
        "dirichlet, neumann, periodic",
    ),
    "derive --family minimax --degree 3 --points missing.txt": ("missing.txt",),
    "derive --family chebyshev --degree 3 --out missing/folder/init.json": ("missing/folder",),
    "derive --family chebyshev": ("--degree",),
    "derive --family": ("'--family' requires an argument (see polymgnet derive --help)\n",),
    "derive --nonsense": ("--nonsense",),
    "nonsense": ("nonsense",),
    "--nonsense": ("--nonsense",),
    "lfa --problem variable2d": ("variable2d", "constant"),
    "lfa --problem nonsense": ("nonsense", "poisson2d"),
    "lfa --family chebyshev --smoother jacobi": ("--family and --smoother",),
    "lfa --smoother jacobi --degree 2": ("--degree",),
    "lfa --smoother nonsense": ("nonsense", "red_black"),
    "lfa --pre -1": ("-1",),
    "study nowhere.toml --engine zebra": (
        "'--engine': 'zebra' is not one of 'local', 'slurm' (see polymgnet study --help)\n",
    ),
    "derive --family minimax --degree 2 --points .": ("points: . is a folder, a file is needed",),
    "lfa --restriction nonsense": (
        "--restriction is 'nonsense'; allowed are full, half, injection, cells\n",
    ),
    "lfa --coarsening nonsense": (
        "--coarsening is 'nonsense'; allowed are galerkin, rediscretise\n",
    ),
    "lfa --cycle X": ("X", "V"),
    "lfa --verify --n 7": ("--n is 7;", "even number"),
    "lfa --verify --n 0": ("0", "at least 2"),
    "lfa --init missing.json": ("missing.json",),
    "train --out runs/new --set accelerator=mps": (
        "train.accelerator is mps",
        "allowed are auto, cpu",
    ),
    "train --out runs/new --set seed=99999999999999999999999": (
        "train.seed is 99999999999999999999999",
        "0 <= x <",
    ),
    "train --out runs/new --set width=2 --init constant:value=1e-39": ("1e+39", "finite"),
    "train --out runs/new --init file:~/no-such-init.json": ("no-such-init.json",),
    "train --out runs/new --data folder:": ("folder: has no path",),
    "solve --problem nonsense": ("nonsense", "poisson2d"),
    "solve --n 15 --family nonsense": ("nonsense", "chebyshev"),
    "solve --n 15 --degree 0": ("0", "256"),
    "solve --n 15 --smoother nonsense": ("nonsense",),
    "solve --n 15 --smoother chebyshev": ("--family chebyshev",),
    "solve --n 15 --cycle X": ("X", "V"),
    "solve --n 15 --cycle X --backend torch": ("X", "V"),
    "solve --n 15 --pre -1": ("-1",),
    "solve --n 15 --tol -1": ("tol",),
    "solve --n 15 --tol 1": ("tol is 1,", "smaller than 1"),
    "solve --n 15 --pre 0 --post 0": ("pre and post are 0",),
    "compare-smoothers --n 15 --pre 0 --post 0": ("pre and post are 0",),
    "solve --n 10000000": ("100,000,000,000,000 unknowns", "GiB", "at most --n", "stencil"),
    "solve --problem poisson3d --n 100000 --backend stencil": (
        "1,000,000,000,000,000 unknowns",
        "at most --n",
    ),
    "compare-smoothers --n 10000000": ("100,000,000,000,000 unknowns", "at most --n"),
    "solve --n 15 --tol nan": ("tol",),
    "solve --n 15 --maxiter -1": ("maxiter", "-1"),
    "solve --n 15 --backend nonsense": ("nonsense", "sparse, stencil, torch"),
    "solve --n 15 --krylov nonsense": ("nonsense", "cg, minres, gmres"),
    "solve --n 15 --krylov cg --pre 1 --post 0": ("symmetric",),
    "solve --n 15 --krylov cg --tol -1": ("tol",),
    "solve --n 15 --krylov cg --cycle FMG": ("FMG", "V, W and F"),
    "solve --n 15 --krylov cg --maxiter -1": ("maxiter", "-1"),
    "solve --n 16 --backend torch": ("16",),
    "solve --n 15 --backend gpu --device nonsense": ("nonsense", "cpu"),
    "solve --n 15 --device cpu": ("--backend gpu",),
    "solve --problem variable2d --n 15 --coarsening galerkin --backend gpu": (  # before a device is
        "coarsening is 'galerkin'",
        "--backend sparse has others",
    ),
    "solve --problem convection2d --n 15 --backend gpu": ("; --backend sparse takes others",),
    "solve --n 16 --boundary periodic --backend gpu": ("; --backend sparse takes all",),
    "solve --n 15 --smoother red-black --backend gpu": ("; --backend sparse has others",),
    "solve --n 15 --family harmonic_ritz --backend gpu": ("; --backend sparse derives it",),
    "solve --n 15 --coarsening pyamg --backend gpu": ("; --backend sparse has others",),
    "solve --n 15 --backend gpu --device meta": ("torch has cpu", "--backend stencil"),
    "solve --n 15 --boundary neumann --backend stencil": ("neumann",),
    "compare-smoothers --coarsening zebra --n 15": ("zebra", "rediscretise, galerkin and pyamg"),
    "compare-smoothers --boundary neumann --backend stencil --n 15": ("neumann", "dirichlet"),
    "compare-smoothers --n 16 --backend torch": ("16",),
    "compare-smoothers --n 0": ("0", "at least 1"),
    "compare-smoothers --degrees 1-999999999": ("999999999", "256"),
    "compare-smoothers --degrees x": ("'x'", "1-4"),
    "compare-smoothers --degrees 0": ("0", "256"),
    "compare-smoothers --degrees 3-1": ("'3-1'",),
    "compare-smoothers --family nonsense": ("nonsense", "chebyshev"),
    "compare-smoothers --repeats 0": ("0",),
    "compare-smoothers --cycle FMG": ("FMG", "V, W, F"),
    "compare-smoothers --backend nonsense": ("nonsense",),
    "train --config q2": ("--out",),
    "train --out run --config nonsense": ("nonsense", "q2"),
    "train --out run --set nonsense=1": ("nonsense", "known"),
    "train --out run --set epochs": ("epochs", "key=value"),
    "train --out run --set epochs=0": ("epochs", "0"),
    "train --out run --set epochs=many": ("epochs", "many"),
    "train --out run --set optim.name=nonsense": ("nonsense", "sgd"),
    "train --out run --set model.name=nonsense": ("nonsense", "q2"),
    "train --out run --set placement=nonsense": ("nonsense", "regular"),
    "train --out run --data nonsense": ("nonsense", "digits"),
    "train --out run --data folder:missing": ("missing",),
    "train --out run --init nonsense": ("nonsense", "xavier"),
    "train --out run --init file:missing.json": ("missing.json",),
    "train --out run --resume --force": ("--resume and --force",),
    "analyze": ("RUN",),
    "analyze missing": ("missing",),
    "report": ("RUN",),
    "report missing": ("missing",),
    "report .": ("no run, study or demo",),
    "figures": ("--theory",),
    "figures missing": ("missing",),
    "figures --theory": ("--out",),
    "study": ("FILE",),
    "study missing.toml": ("missing.toml",),
    "study missing.toml --engine nonsense": ("nonsense", "slurm"),
    "demo --nonsense": ("--nonsense",),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_value(refused, monkeypatch, tmp_path, line):
    monkeypatch.chdir(tmp_path)
    said = refused(*line.split())
    assert all(part in said for part in WRONG[line]), said
    assert list(tmp_path.iterdir()) == []


FOREIGN = {
    "empty": "",
    "truncated": '{"kind": "initial_coeff',
    "list": "[1, 2]",
    "other": '{"kind": "something"}',
    "number": "3",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_init_file(refused, tmp_path, kind):
    path = tmp_path / "init.json"
    path.write_text(FOREIGN[kind])
    for words in (
        ["lfa", "--init", path],
        ["solve", "--n", 15, "--init", path],
        ["train", "--out", tmp_path / "run", "--init", f"file:{path}"],
    ):
        assert "init.json" in refused(*words)
    assert path.read_text() == FOREIGN[kind]
    assert [entry.name for entry in tmp_path.iterdir()] == ["init.json"]


@pytest.mark.parametrize("kind", ["empty", "truncated", "list", "number"])
def test_foreign_config(refused, tmp_path, kind):
    path = tmp_path / "config.json"
    path.write_text(FOREIGN[kind])
    assert "config.json" in refused("train", "--config", path, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"model": {"nme": "q2"}}', "config.json: unknown key 'model.nme'"),
        ('{"epochs": 3}', "config.json: unknown key 'epochs'"),
        ('{"optim": {"lr": -1}}', "config.json: optim.lr is -1"),
        ('{"base": "q2", "optim": {"lr": -1}}', "config.json: optim.lr is -1"),
        ('{"base": "q2"}', "optim.momentum is 7"),
        ('{"base": "missing"}', "config 'missing'"),
    ],
)
def test_a_wrong_configuration_is_named_by_its_file(refused, tmp_path, text, said):
    """A wrong setting is not the file's, and mends what is wrong in it."""
    path = tmp_path / "config.json"
    path.write_text(text)
    found = refused("config", path, "--set", "momentum=7")
    assert said in found
    assert (str(path) in found) == ("config.json" in said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"optim": {"lr": 0.1, "lr": 0.2}}', "the key 'lr' stands there twice"),
        ("[" * 100_000, "config.json is not JSON (maximum recursion depth"),
        ('{"train": {"epochs": true}}', "train.epochs is True; allowed is a whole number"),
        ('{"optim": {"lr": {}}}', "unknown key 'optim.lr.x'; optim.lr is"),
        (f'{{"optim": {{"lr": {"9" * 400}}}}}', "is not JSON (a whole number of 400 digits)"),
    ],
)
def test_what_json_takes_and_nobody_means(refused, tmp_path, text, said):
    path = tmp_path / "config.json"
    path.write_text(text)
    more = ("--set", "optim.lr=1", "--set", "optim.lr.x=3") if "{}" in text else ()
    assert said in refused("config", path, *more)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["train", "--out", ""], "--out"),
        (["train", "--out="], "--out"),
        (["derive", "--family", "chebyshev4", "--degree", "2", "--out", ""], "--out"),
        (["analyze", ""], "an argument"),
    ],
)
def test_an_empty_path_is_not_the_working_directory(refused, monkeypatch, tmp_path, words, name):
    monkeypatch.chdir(tmp_path)
    assert f"{name} has an empty value" in refused(*words)
    assert list(tmp_path.iterdir()) == []


def test_pipes_are_read_and_written_and_links_followed(run, tmp_path):
    """As `<(...)` of a shell; what is written to a pipe or a device puts no file in its place."""
    ends = os.pipe()  # as /dev/stdout before another command: a link that leads to no path
    words = ["derive", "--family", "richardson", "--degree", 1, "--interval", 1, 2, "--force"]
    assert run(*words, "--out", f"/dev/fd/{ends[1]}").status == 0
    assert json.loads(os.read(ends[0], 1 << 16))["family"] == "richardson"
    pipe, link, target = (tmp_path / name for name in ("pipe", "link", "target.json"))
    os.mkfifo(pipe)
    words = ["derive", "--family", "minimax", "--degree", 1]
    writer = threading.Thread(target=pipe.write_text, args=("1\n2\n",))
    writer.start()
    assert run(*words, "--points", pipe).status == 0
    writer.join()
    (tmp_path / "points.txt").write_text("1\n2\n")
    words += ["--points", tmp_path / "points.txt", "--force", "--out"]
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert run(*words, pipe).status == 0
    reader.join()
    assert pipe.is_fifo()
    link.symlink_to(target)
    assert run(*words, link).status == 0
    assert link.is_symlink()
    assert json.loads(target.read_text()) == json.loads(read[0])


def test_a_setting_mends_a_file(run, tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"optim": {"lr": -1}}')
    assert run("config", path, "--set", "lr=1").status == 0


@pytest.mark.parametrize(
    "line",
    [
        "train --out file/x",
        "train --out file/x/y --resume",
        "study study.toml",
        "study study.toml --out file/x",
        "demo --out file/x",
        "figures --theory --out file/x",
        "derive --family chebyshev4 --degree 2 --out file/x.json",
        "solve --n 15 --plot file/x.png",
    ],
)
def test_a_file_where_a_folder_should_be_is_named(refused, monkeypatch, tmp_path, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text('config = "q2"\nout = "file/runs"\n')
    (tmp_path / "file").write_text("mine")
    assert "file is a file; give" in refused(*line.split())
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", ["analyze", "figures"])
@pytest.mark.parametrize(
    "content",
    [
        {},
        {"notes.txt": "mine"},
        {"config.json": "{"},
        {"config.json": "{}"},
        {"summary.json": "[]", "config.json": "[]"},
    ],
)
def test_foreign_run_folder(refused, tmp_path, command, content):
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    assert str(tmp_path) in refused(command, tmp_path)
    assert {entry.name: entry.read_text() for entry in tmp_path.iterdir()} == content


def test_train_leaves_foreign_folder(refused, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for extra in ([], ["--resume"], ["--force"]):
        assert "thesis.tex" in refused(
            "train", "--out", tmp_path, "--set", "epochs=1", "--set", "width=2", *extra
        )
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_points_file(refused, tmp_path):
    path = tmp_path / "points.txt"
    for text, what in (
        ("1\na b\n", "line 2 is 'a b'"),
        ("# n\n1 2 3\n", "line 2 is '1 2 3'"),
        ("", "empty"),
        ("# n\n", "empty"),
        ("\ufeff# n\n", "empty"),  # the mark is no number and no text
    ):
        path.write_text(text)
        said = refused("derive", "--family", "minimax", "--degree", 1, "--points", path)
        assert "points.txt" in said
        assert what in said


def test_json_of_an_error_is_empty(run):
    result = run("derive", "--family", "nonsense", "--degree", 1, "--json")
    assert (result.status, result.out) == (2, "")


def test_traceback_for_developers(run):
    for words in (["--traceback", "derive"], ["derive", "--traceback"]):
        assert "Traceback" in run(*words, "--family", "nonsense", "--degree", 1).err


def test_fault_of_the_program_is_named(run, monkeypatch):
    monkeypatch.setattr("mgtheory.derive", lambda *a, **k: json.dumps(object()))
    result = run("derive", "--family", "chebyshev", "--degree", 1)
    assert result.status == 70
    assert result.err.startswith("polymgnet: internal error, TypeError: ")
    assert result.err.count("\n") == 1
