"""`report`: one page on runs, to be opened in a browser."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from polymgnet import console
from polymgnet.errors import reason
from polymgnet.options import Force, Json, option
from polymgnet.wording import counted

PAGE = "report.html"
STUDY_FILES = (".toml", ".json")
MOST = 12  # runs on the page that a study ends with; each takes some seconds to be analysed
NoReport = Annotated[
    bool, option("--no-report", "Make no page for the browser at the end, which takes seconds.")
]
Scale = Annotated[str | None, option("--scale NAME", "Which [scale.NAME] of a study's file.")]


def report(
    given: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN|STUDY|DEMO",
            help=(
                "Run folders; a study's file, or its folder of runs; the folder of a demo. Several"
                " runs stand side by side."
            ),
        ),
    ],
    out: Annotated[
        Path | None,
        option(
            "--out FILE",
            "The page, a .html file; without it report.html: of a run in its folder report, of a"
            " folder of runs or a demo there, else here; of a study's file report-STUDY.html in its"
            " out.",
        ),
    ] = None,
    scale: Scale = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write one page on runs, which opens in a browser without a network.

    On top three sentences; then what was trained, training curves, up to 20 test images that are
    taken for another class, and of every level what one pass does to errors, roots and damped
    waves, with sliders over the epochs of training. Several runs,
    a study or a demo are compared: accuracies and their price, roots, polynomials and smoothing
    factors, several seeds of a configuration as a band. A glossary explains every term, and every
    picture can be saved.

    Example: polymgnet report runs/q2
    """
    if out is not None and out.suffix != ".html":
        raise ValueError(f"--out is {out}, the name of a page ends in .html")
    if out is not None and out.exists():
        console.refuse_existing(out, force=force)
    runs, default, labels = folders(given, scale=scale)
    if out is None:
        console.refuse_foreign(default, force=force)
    target = out or default
    refuse_read_only(target.parent, given=out)
    words = [*map(str, given), *(["--scale", scale] if scale else [])]
    words += ["--out", str(out)] if out else []
    from figures.page.runs import write_page

    with console.progress("report", total=len(runs), show=not as_json) as step:
        command = shlex.join(["polymgnet", "report", *words])
        path = write_page(runs, target, command=command, labels=labels, progress=step)
    if as_json:
        console.emit({"page": path, "runs": runs})
    else:
        print(path)


def page_at_end(
    runs: list[Path],
    target: Path,
    *,
    command: str,
    again: str,
    show: bool,
    labels: Mapping[Path, str] | None = None,
) -> Path | None:
    """The page that finished work ends with; None, after one line on stderr, where it could not be
    made: what is finished stays so.

    Of many runs the first seed of every configuration stands on it. One that is there and younger
    than its runs is left, for it may show more epochs.

    Parameters
    ----------
    again
        What makes the whole page, for that line and the reader.
    labels
        As of a study.
    """
    try:
        made = max(run.joinpath("summary.json").stat().st_mtime for run in runs)
        if target.is_file() and target.stat().st_mtime >= made:
            return target
        console.refuse_foreign(target, force=False)
        from analysis.runs.comparison import configuration_of
        from figures.page.runs import write_page

        if len(runs) > MOST:
            runs = list({configuration_of(run): run for run in reversed(runs)}.values())[::-1]
        if len(runs) > MOST:
            console.note(f"a page on {len(runs)} configurations takes a while: {again}")
            return None
        with console.progress("report", total=len(runs), show=show) as step:
            ways: dict[str, Any] = {"labels": labels, "progress": step}
            return write_page(runs, target, command=command, brief=True, **ways)
    except Exception as error:  # whatever it is
        console.note(
            f"polymgnet: warning: everything is finished, but no page could be made"
            f" ({reason(error)}); {again} tries again"
        )
        return None


def refuse_read_only(folder: Path, *, given: Path | None) -> None:
    """NotADirectoryError for a file, PermissionError for a folder that is for reading alone; names
    --out where it was not `given`."""
    from mgtheory._files import check_folder, check_writable

    check_folder(folder)
    check_writable(folder, way="give another place" if given else "--out writes elsewhere")


def folders(
    given: list[Path], *, scale: str | None = None
) -> tuple[list[Path], Path, dict[Path, str]]:
    """The run folders that are meant, where their page goes by default, and what studies call them
    by labels of their own.

    Raises
    ------
    ValueError, FileNotFoundError
        Neither a run nor something that holds finished runs: one line.
    """
    if scale is not None and not any(path.suffix in STUDY_FILES for path in given):
        raise ValueError(f"--scale is {scale!r}, which belongs to a study's file; give one")
    found, page, labels = list[Path](), Path(PAGE), dict[Path, str]()
    for path in given:
        if path.is_file() and (path.parent / "start.safetensors").is_file():
            raise ValueError(f"{path} is a file of a run; give the folder, {path.parent}")
        if path.is_file() and path.suffix in STUDY_FILES:
            from polymgnet.study import load_study

            study = load_study(path, scale=scale, trains=False)
            inside, page = [run.folder for run in study.runs if run.finished], study.page
            labels |= study.labels
            if not inside:
                known = study.rows.known if study.rows is not None else {}
                rows = sum(run.digest in known for run in study.runs)
                words = f"polymgnet study {path}" + (f" --scale {scale}" if scale else "")
                way = f"{words} trains them"
                if rows:  # and study would train nothing
                    makes = f"polymgnet study {path} --report DIR makes a page"
                    way = f"{rows} are rows, of which {makes}"
                raise ValueError(
                    f"{path}: none of its {counted(len(study.runs), 'run')} is finished in"
                    f" {study.out}; {way}"
                )
        elif path.is_file():
            raise ValueError(
                f"{path} is a file; allowed are folders of runs, and a study's file"
                f" ({' or '.join(STUDY_FILES)})"
            )
        elif not path.exists():
            raise FileNotFoundError(f"{path}: there is no such folder or study file")
        elif (path / "config.json").exists():
            inside, page = [path], path / "report" / PAGE  # whoever reads it says what is wrong
        else:
            page = path / PAGE
            inside = [one.parent for one in sorted(path.glob("*/summary.json"))]
            inside = inside or [one.parent for one in sorted(path.glob("runs/*/summary.json"))]
        if not inside:
            raise ValueError(
                f"{path} is no run, study or demo: it is not a run folder and holds no finished"
                " run; give a folder that train, study or demo wrote, or a study's file"
            )
        if not any((one / "config.json").exists() for one in inside):
            raise ValueError(
                f"{path} holds no run of a network; smoothers, which are compared in a study of"
                " kind smoother, are shown by polymgnet study FILE"
            )
        found += inside
    return found, page if len(given) == 1 else Path(PAGE), labels
