"""The demo: derive, train, analyse, draw and compare on the bundled digits, in stages that survive
being killed.

    DIR/demo.json        what this demo is: its settings, written first
    DIR/init.json        fourth-kind Chebyshev coefficients derived from the 2D Poisson problem
    DIR/runs/NAME        a run folder each: theory, constant, xavier, resnet
    DIR/pictures         pictures of all runs
    DIR/result.json      the table and the paths, written last

Every file appears whole or not at all, and a stage whose file is there is not done again; a run
that was interrupted goes on from its last checkpoint. All networks see the same data in the same
order: one seed, one configuration but for what is compared. That configuration was chosen on the
theory start, with another split of the same images; the other networks were not tuned, so the
ranking is no evidence for one.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polymgnet import console
from polymgnet.console import write_json
from polymgnet.errors import Stopped

KIND, SCHEMA = "polymgnet demo", 1
# "figures" is what earlier versions wrote for "pictures"
CONTENT = ("demo.json", "init.json", "runs", "pictures", "figures", "result.json")
NETWORKS = ("theory", "constant", "xavier", "resnet")
STAGES = 1 + 2 * len(NETWORKS) + 2
FAMILY, FLOOR = "chebyshev4", "1-nearest neighbour"
ROLES = ("start", "learned", "effective")


@dataclass(frozen=True)
class Settings:
    """How large the demo is: as the recipes `digits` and `digits_resnet`, 6 MFLOP an image."""

    epochs: int = 30
    width: int = 32
    seed: int = 0
    degree: int = 2
    grid: int = 63


def run(
    out: Path,
    *,
    force: bool = False,
    report: console.Step = console.silent,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Do what is missing of the demo and return its result; a finished one is read and nothing is
    done again.

    Parameters
    ----------
    out
        The folder; made if missing.
    force
        Remove what a demo left there and start again.

    Raises
    ------
    ValueError, FileExistsError
        The folder holds something else, another demo, or damaged files; nothing is changed.
    """
    chosen = settings or Settings()
    folder = prepare(out, chosen, force=force)
    result = folder / "result.json"
    if result.exists():
        return read_result(result)
    stage = Stages(report)
    with stage("derive", folder / "init.json"):
        derive_coefficients(folder / "init.json", chosen)
    runs = {name: folder / "runs" / name for name in NETWORKS}
    for name, path in runs.items():
        with stage(f"train {name}", path / "summary.json") as progress:
            train_network(folder, name, chosen, progress=progress)
    from analysis.report import analyse, report_folder

    reports = {}
    for name, path in runs.items():
        with stage(f"analyse {name}", report_folder(path) / "report.json") as progress:
            # one that is there and fits the run is read
            reports[name] = analyse(path, progress=lambda k, word: progress(f"level {k}: {word}"))
    with stage("nearest neighbour"):
        floor = nearest_neighbour()
    with stage("draw") as progress:
        figures = draw(folder, {FLOOR: floor["test_accuracy"]}, progress=progress)
    document = {
        "kind": KIND,
        "schema": SCHEMA,
        "settings": asdict(chosen),
        "table": [row(name, path, reports[name]) for name, path in runs.items()],
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
    def __call__(self, name: str, made: Path | None = None) -> Iterator[Callable[[str], None]]:
        """One stage; yields the callback for the progress of its work.

        Parameters
        ----------
        made
            The file that its work ends with: if that is there and stays as it is, an earlier call
            did the stage, and its end says so.
        """
        self.number += 1
        title, began, before = f"{self.number}/{STAGES} {name}", time.perf_counter(), changed(made)
        self.report(self.number - 1, title)
        yield lambda text: self.report(self.number - 1, f"{title}, {text}")
        kept = before is not None and changed(made) == before
        took = "done before" if kept else f"{time.perf_counter() - began:.1f} s"
        self.report(self.number, finished=f"{title}, {took}")


def changed(path: Path | None) -> int | None:
    """When a file was changed, in nanoseconds; None where there is none."""
    return path.stat().st_mtime_ns if path is not None and path.exists() else None


def prepare(out: Path, settings: Settings, *, force: bool) -> Path:
    """The folder, marked as a demo's and cleared if forced; foreign ones and others are refused."""
    from mgtheory._files import check_folder, read_json

    # resolved: of new/.. nothing exists as written, and what it means may be full of other things
    folder = out.expanduser().resolve()
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{out} is a file; give a folder for the demo")
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
    mark = {"kind": KIND, "schema": SCHEMA, "settings": asdict(settings)}
    if not present:
        write_json(folder / "demo.json", mark)
    elif read_json(folder / "demo.json", "demo") != mark:
        raise ValueError(
            f"{out} holds a demo of another version or with other settings; give another folder, or"
            " --force to start it again"
        )
    return folder


def read_result(path: Path) -> dict[str, Any]:
    """What a finished demo wrote; ValueError for a damaged file."""
    from mgtheory._files import read_json

    document = read_json(path, "demo result")
    if document.get("kind") != KIND or document.get("schema") != SCHEMA or "table" not in document:
        raise ValueError(f"demo result: {path} is not this demo's; --force starts the demo again")
    return {**document, "folder": str(path.parent)}


def derive_coefficients(path: Path, settings: Settings) -> None:
    """init.json: fourth-kind Chebyshev for the 5-point Laplacian on the unit square."""
    import mgtheory
    from mgtheory import problems

    if path.exists():
        mgtheory.InitialCoefficients.load(path)
    else:
        mgtheory.derive(
            FAMILY, settings.degree, problems.create("poisson2d", n=settings.grid)
        ).save(path)


def network_settings(folder: Path, name: str, settings: Settings) -> tuple[str, list[str]]:
    """Recipe and `--set` values of one network: all alike but for the start, or the model."""
    common = [f"{name}={getattr(settings, name)}" for name in ("epochs", "width", "seed")]
    common.append("accelerator=cpu")
    if name == "resnet":
        return "digits_resnet", common
    scheme = f"file:{folder / 'init.json'}" if name == "theory" else name
    return "digits", [*common, f"init.scheme={scheme}"]


def train_network(
    folder: Path, name: str, settings: Settings, *, progress: Callable[[str], None]
) -> None:
    """Train one network, or go on where it was; a finished one is left alone."""
    import nets
    from nets.training.run import StopRequest

    recipe, sets = network_settings(folder, name, settings)
    config = nets.load_config(recipe, sets)
    (folder / "runs").mkdir(exist_ok=True)

    def epoch(values: dict[str, Any]) -> None:
        progress(f"epoch {int(values['epoch'])}/{settings.epochs}")

    with StopRequest() as asked:
        summary = nets.train(
            config, folder / "runs" / name, resume=True, progress=False, callback=epoch
        )
    if not summary.finished:
        raise Stopped(
            f"stopped as asked while training {name}; the state is saved, the same command goes on",
            asked.signal,
        )


def draw(folder: Path, floors: dict[str, float], *, progress: Callable[[str], None]) -> list[Path]:
    """All figures of the runs with the floors of their accuracies; drawn anew, they are quick."""
    import figures

    runs = [folder / "runs" / name for name in NETWORKS]
    shown: Any = {"floors": floors, "progress": lambda _, name: progress(name)}
    return figures.make(runs, folder / "pictures", **shown)


def nearest_neighbour() -> dict[str, Any]:
    """Test accuracy of 1-nearest-neighbour on the raw pixels of the same training part."""
    from sklearn.neighbors import KNeighborsClassifier

    import nets

    data = nets.load_data("digits")
    classifier = KNeighborsClassifier(n_neighbors=1).fit(*pixels(data, data.train))
    images, labels = pixels(data, data.test)
    return {
        "test_accuracy": float(classifier.score(images, labels)),
        "trained_on": len(data.train),
        "tested_on": len(data.test),
    }


def pixels(data: Any, part: Any) -> tuple[Any, Any]:
    """Flattened images and labels of one part of a data set."""
    import numpy as np

    images = np.asarray(data.images[part], dtype=float).reshape(len(part), -1)
    return images, np.asarray(data.labels[part])


def row(name: str, path: Path, report: Any) -> dict[str, Any]:
    """One line of the table: cost, accuracy, and the levels' largest smoothing factors."""
    from nets.training.folder import read_summary

    summary = read_summary(path)
    # of every level that has a polynomial, on the spectrum of its own convolution
    factors = {
        role: [level.views[role].smoothing_factor for level in report.levels if role in level.views]
        for role in ROLES
    }
    measured = ("parameters", "flops_per_image", "test_accuracy", "val_accuracy", "seconds")
    return {
        "name": name,
        "model": summary.model,
        "run": str(path),
        **{key: getattr(summary, key) for key in measured},
        "smoothing_factors": factors,
        **{f"smoothing_factor_{role}": max(mu, default=None) for role, mu in factors.items()},
    }


def verdict(table: Sequence[dict[str, Any]], floor: float, images: int) -> list[str]:
    """What was measured, whoever won, and what of it so many test images tell apart: 95 % intervals
    that do not overlap."""
    from analysis.stats import fraction_interval

    def apart(one: float, other: float) -> bool:
        (low, high), other_ends = (fraction_interval(value, images) for value in (one, other))
        return low > other_ends[1] or other_ends[0] > high

    reached = {entry["name"]: entry["test_accuracy"] for entry in table}
    best = max(reached.values())
    first = [name for name, value in reached.items() if value == best]
    worse = [name for name, value in reached.items() if apart(value, best)]
    above = [name for name, value in reached.items() if value > floor]
    beyond = [name for name in above if apart(reached[name], floor)]
    lines = [
        f"Best test accuracy: {' and '.join(first)}, {100 * best:.2f} %; below it by more than"
        f" the noise: {', '.join(worse) or 'none'}.",
        f"Above {FLOOR}: {', '.join(above) or 'none'}; by more than the noise:"
        f" {', '.join(beyond) or 'none'}.",
        f"Noise: one of the {images} test images is {100 / images:.2f} %; differences within"
        " overlapping intervals are no ranking.",
    ]
    for entry in table:
        mu, before = entry["smoothing_factor_learned"], entry["smoothing_factor_start"]
        if mu is not None:
            smooths = "smooths its own operator on every level"
            lines.append(
                f"{entry['name']}: the learned polynomial"
                f" {smooths if mu < 1 else 'is not a smoother on at least one level'}"
                f" (largest smoothing factor {mu:.3g}, at the start {before:.3g})."
            )
    return lines


def show(result: dict[str, Any]) -> None:
    """Print the table, what follows from it, and where the figures are."""
    from analysis.stats import fraction_interval

    floor, images = (result["nearest_neighbour"][key] for key in ("test_accuracy", "tested_on"))

    def accuracy(fraction: float) -> tuple[str, str]:
        low, high = fraction_interval(fraction, images)
        return f"{100 * fraction:6.2f}", f"{100 * low:.2f} to {100 * high:.2f}"

    columns = [
        *("start", "model", "weights", "MFLOP/img"),
        *("test (%)", "95 % interval (%)", "validation (%)"),
        *("mu start", "mu learned", "mu effective", "time (s)"),
    ]
    body = []
    for entry in result["table"]:
        name = f"theory ({FAMILY})" if entry["name"] == "theory" else entry["name"]
        mega = None if entry["flops_per_image"] is None else entry["flops_per_image"] / 1e6
        accuracies = (*accuracy(entry["test_accuracy"]), f"{100 * entry['val_accuracy']:6.2f}")
        factors = [entry[f"smoothing_factor_{role}"] for role in ROLES]
        cost = (entry["parameters"], mega)
        body.append([name, entry["model"], *cost, *accuracies, *factors, entry["seconds"]])
    body.append([FLOOR, "–", 0, None, *accuracy(floor), "–", None, None, None, None])
    settings = result["settings"]
    console.table(
        f"Handwritten digits, {settings['epochs']} epochs, seed {settings['seed']}, everything in"
        f" {result['folder']}",
        columns,
        body,
    )
    print(
        f"test, validation: accuracies; 95 % interval: what {images} test images say of one"
        " (Wilson), not of other seeds.\n"
        "mu: largest smoothing factor of the levels on their own spectra; below 1 the polynomial"
        " smooths. Learned: the coefficients as they\n"
        "stand; effective: with the batch norms folded in."
    )
    print("\n".join(verdict(result["table"], floor, images)))
    print("One seed: a demonstration. `polymgnet study` gives mean and spread.")
    print("Figures:")
    for name in result["figures"]:
        if name.endswith(".png"):
            print(f"  {Path(result['folder']) / name}")
