"""The demo: derive, train, analyse, draw and compare on the bundled digits, in stages that survive
being killed.

    DIR/demo.json         what this demo is: its settings, written first
    DIR/chebyshev4.json   coefficients derived from the 2D Poisson problem
    DIR/runs/NAME-SEED    a run folder for every network and seed
    DIR/pictures          the figure of the starts, and pictures of the analysed runs
    DIR/result.json       the table and the paths, written last

Every file appears whole or not at all, and a stage whose file is there is not done again; a run
that was interrupted goes on from its last checkpoint. The deep networks see the same data in the
same order from the same random A at each seed and differ in the start of their coefficients alone.
Their configuration was not tuned on any of the starts. `derived` is the default start, derived for
the disc around 0 that the spectrum of a random A fills; `smoother` is a network of degree 2 whose A
starts as a Laplacian, where the classical theory applies; `resnet` is there for scale.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polymgnet import console
from polymgnet.console import write_json
from polymgnet.errors import Failure
from polymgnet.study.rows import max_moduli
from polymgnet.wording import counted

KIND, SCHEMA = "polymgnet demo", 3
# "figures", "bounded.json" and "init.json" are what earlier versions wrote
CONTENT = (
    *("demo.json", "bounded.json", "chebyshev4.json", "init.json"),
    *("runs", "pictures", "figures", "result.json", "report.html"),
)
# the start that is shown, and those that it is compared with
DERIVED, OTHERS = "derived", ("constant", "xavier", "chebyshev4")
STARTS = (DERIVED, *OTHERS)
SMOOTHER, RESNET = "smoother", "resnet"
NETWORKS = (*STARTS, SMOOTHER, RESNET)
ANALYSED = (DERIVED, SMOOTHER)  # their first seeds
STAGES = 2 + len(ANALYSED) + 2
STORY = "starts"  # the figure
MOST_JOBS = 8  # each takes half a gigabyte


@dataclass(frozen=True)
class Settings:
    """How large the demo is; degrees of the deep networks and of the one that smooths."""

    epochs: int = 4
    batch_size: int = 32
    width: int = 16
    levels: int = 2
    degree: int = 32
    smoothing_degree: int = 2
    seeds: int = 3
    grid: int = 63


def run(
    out: Path,
    *,
    force: bool = False,
    report: console.Step = console.silent,
    settings: Settings | None = None,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Do what is missing of the demo and return its result; a finished one is read and nothing is
    done again.

    Parameters
    ----------
    out
        The folder; made if missing.
    force
        Remove what a demo left there and start again.
    jobs
        Networks that are trained at a time: by default one a core, at most 8.

    Raises
    ------
    ValueError, FileExistsError, NotADirectoryError
        The folder is a file, or holds something else, another demo, or damaged files; nothing is
        changed.
    Failure
        A network could not be trained.
    """
    from mgtheory._files import read_json

    chosen = settings or Settings()
    mark = {"kind": KIND, "schema": SCHEMA, "settings": asdict(chosen)}
    folder = prepare(out, mark, force=force)
    result = folder / "result.json"
    if result.exists():
        found = read_json(result, "demo result")
        if "table" not in found or any(found.get(key) != mark[key] for key in mark):
            raise ValueError(
                f"demo result: {result} is not this demo's; --force starts the demo again"
            )
        return {**found, "folder": str(folder)}
    stage = Stages(report)
    with stage("derive", folder / "chebyshev4.json"):
        derive_coefficients(folder, chosen)
    runs = {
        name: [folder / "runs" / f"{name}-{seed}" for seed in range(chosen.seeds)]
        for name in NETWORKS
    }
    summaries = (path / "summary.json" for paths in runs.values() for path in paths)
    with stage("train", *summaries) as progress:
        train_networks(folder, runs, chosen, jobs=jobs, progress=progress)
    from analysis.runs.report import analyse, report_folder

    reports = {}
    for name in ANALYSED:
        path = runs[name][0]
        with stage(f"analyse {name}", report_folder(path) / "report.json") as progress:
            # one that is there and fits the run is read
            reports[name] = analyse(path, progress=lambda k, word: progress(f"level {k}: {word}"))
    with stage("nearest neighbour"):
        floor = nearest_neighbour()
    with stage("draw") as progress:
        figures = draw(folder, runs, reports, chosen, progress=progress)
    document = {
        **mark,
        "table": [row(name, paths, reports.get(name)) for name, paths in runs.items()],
        "nearest_neighbour": floor,
        "figures": [str(path.relative_to(folder)) for path in figures],
    }
    write_json(result, document)
    return {**document, "folder": str(out)}


class Stages:
    """Numbers the stages, the same in every call, and says how long each took."""

    def __init__(self, report: console.Step) -> None:
        self.report, self.number = report, 0

    @contextmanager
    def __call__(self, name: str, *made: Path) -> Iterator[Callable[[str], None]]:
        """One stage; yields the callback for the progress of its work.

        Parameters
        ----------
        made
            The files that its work ends with: if they are there and stay as they are, an earlier
            call did the stage, and its end says so.
        """

        def changed() -> list[int]:
            """When the files were changed, in nanoseconds; 0 for one that is missing."""
            return [path.stat().st_mtime_ns if path.exists() else 0 for path in made]

        self.number += 1
        title, began, before = f"{self.number}/{STAGES} {name}", time.perf_counter(), changed()
        self.report(self.number - 1, title)
        yield lambda text: self.report(self.number - 1, f"{title}, {text}")
        kept = made and all(before) and changed() == before
        took = "done before" if kept else f"{time.perf_counter() - began:.1f} s"
        self.report(self.number, finished=f"{title}, {took}")


def prepare(out: Path, mark: Mapping[str, Any], *, force: bool) -> Path:
    """The folder, marked as a demo's and cleared if forced; foreign ones and others are refused."""
    from mgtheory._files import check_folder, read_json

    # resolved: of new/.. nothing exists as written, and what it means may be full of other things
    folder = out.expanduser().resolve()
    check_folder(folder)
    inside = folder.iterdir() if folder.is_dir() else ()
    present = sorted(entry.name for entry in inside if not entry.name.endswith(".tmp"))
    foreign = [name for name in present if name not in CONTENT]
    if present and ("demo.json" not in present or foreign):
        raise FileExistsError(
            f"{out} is not a demo's folder, it holds {(foreign or present)[0]}; nothing was"
            " changed, give another folder"
        )
    if force:
        for name in reversed(CONTENT):
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        present = []
    if not present:
        write_json(folder / "demo.json", mark)
    elif read_json(folder / "demo.json", "demo") != mark:
        raise ValueError(
            f"{out} holds a demo of another version or with other settings; give another folder, or"
            " --force to start it again"
        )
    return folder


def derive_coefficients(folder: Path, settings: Settings) -> None:
    """chebyshev4.json: the fourth kind for the 5-point Laplacian on the unit square."""
    import mgtheory
    from mgtheory import problems

    path = folder / "chebyshev4.json"
    if path.exists():
        mgtheory.InitialCoefficients.load(path)
    else:
        problem = problems.create("poisson2d", settings.grid)
        mgtheory.derive("chebyshev4", settings.smoothing_degree, problem).save(path)


def network_settings(folder: Path, name: str, settings: Settings) -> tuple[str, dict[str, Any]]:
    """Recipe and settings of one network: those of the starts are alike but for the scheme."""
    from nets.settings import DEFAULT_SCHEME

    given: dict[str, Any] = {
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "accelerator": "cpu",
        "tensorboard": False,
    }
    if name == RESNET:  # with the width and the depth of its recipe
        return "digits_resnet", given
    given |= {
        "data": "digits",
        "width": settings.width,
        "levels": settings.levels,
        "placement": "relu_outside_nobn",  # no batch norm takes a coefficient's meaning away
        "model": f"q{settings.degree}",
        "init.scheme": DEFAULT_SCHEME if name == DERIVED else name,
    }
    if name == SMOOTHER:
        given["model"] = f"q{settings.smoothing_degree}"
        given |= {"init.operator": "laplacian", "init.scheme": f"file:{folder / 'chebyshev4.json'}"}
    return "digits", given


def train_networks(
    folder: Path,
    runs: Mapping[str, Sequence[Path]],
    settings: Settings,
    *,
    jobs: int | None,
    progress: Callable[[str], None],
) -> None:
    """Train what is missing of the networks, side by side; Stopped, with every state saved, where a
    signal asked for it."""
    from polymgnet.study import Run, Study, run_local

    wanted = []
    for seed in range(settings.seeds):  # a seed of all networks first
        for name, paths in runs.items():
            recipe, values = network_settings(folder, name, settings)
            point = {"network": name, "seed": seed}
            wanted.append(Run(point, recipe, {**values, "seed": seed}, paths[seed]))
    study = Study(folder / "runs", tuple(wanted))
    (folder / "runs").mkdir(exist_ok=True)

    def report(done: int, state: str = "", *, finished: str = "") -> None:
        latest = finished or state
        progress(f"{done} of {len(wanted)} networks{latest and f': {latest}'}")

    jobs = jobs or min(MOST_JOBS, os.cpu_count() or 1)
    failed = run_local(study, jobs=jobs, report=report)
    for name, reason in failed.items():
        raise Failure(f"{name} could not be trained: {reason}; the same command tries it again")


def draw(
    folder: Path,
    runs: Mapping[str, Sequence[Path]],
    reports: Mapping[str, Any],
    settings: Settings,
    *,
    progress: Callable[[str], None],
) -> list[Path]:
    """The figure of the starts, and all figures of the analysed runs; drawn anew, they are
    quick."""
    import numpy as np

    import figures
    from analysis.runs.records import read_metrics

    pictures = folder / "pictures"
    progress(STORY)
    losses = {
        name: [read_metrics(path)["train_loss"].to_numpy() for path in runs[name]]
        for name in STARTS
    }
    level = reports[SMOOTHER].levels[0]
    clouds = {}
    for role in ("start", "learned"):
        values, view = level.arrays[f"eigenvalues/{role}"], level.views[role]
        size = np.abs(values) / level.operators[role].radius
        clouds[role] = size, np.abs(view.polynomial(values)), view.smoothing_factor
    titles = (
        f"q{settings.degree}, mean and range of {counted(settings.seeds, 'seed')}",
        "amplification at the start",
        f"q{settings.smoothing_degree}, A starts as a Laplacian",
    )
    with figures.paper():
        moduli: Any = {name: [max_moduli(path) for path in runs[name]] for name in STARTS}
        made = figures.starts(losses, moduli, clouds, titles=titles)
        written = figures.save(made, pictures / STORY)
    shown: Any = {"progress": lambda _, name: progress(name)}
    return written + figures.make([runs[name][0] for name in ANALYSED], pictures, **shown)


def nearest_neighbour() -> dict[str, Any]:
    """Test accuracy of 1-nearest-neighbour on the raw pixels of the same training part."""
    import numpy as np
    from sklearn.neighbors import KNeighborsClassifier

    import nets

    data = nets.load_data("digits")
    images = np.reshape(np.asarray(data.images, dtype=float), (len(data.images), -1))
    labels = np.asarray(data.labels)
    classifier = KNeighborsClassifier(n_neighbors=1).fit(images[data.train], labels[data.train])
    return {
        "test_accuracy": float(classifier.score(images[data.test], labels[data.test])),
        "trained_on": len(data.train),
        "tested_on": len(data.test),
    }


def row(name: str, paths: Sequence[Path], report: Any) -> dict[str, Any]:
    """One line of the table: cost, what its seeds reached, the largest max |q| of a level at the
    start, and of an analysed one the largest smoothing factors of its levels."""
    from nets.training.folder import read_summary

    summaries = [read_summary(path) for path in paths]
    moduli = [value for path in paths for value in max_moduli(path) if value is not None]
    roles = () if report is None else ("start", "learned")
    return {
        "name": name,
        "runs": [str(path) for path in paths],
        **{key: getattr(summaries[0], key) for key in ("model", "parameters", "flops_per_image")},
        **{
            key: [getattr(summary, key) for summary in summaries]
            for key in ("train_loss", "test_accuracy", "val_accuracy", "seconds")
        },
        "amplification": max(moduli, default=None),
        "smoothing_factors": {
            role: max(level.views[role].smoothing_factor for level in report.levels)
            for role in roles
        },
    }
