"""`export`: a trained network as a file that runs without this package, and a polynomial in the
words of PETSc, hypre, Trilinos or PyAMG."""

from pathlib import Path
from typing import Annotated, Any

import typer

from polymgnet import console
from polymgnet.options import Force, Json, option

# kinds of a network's file -> by what it is loaded again; the others are engines of mgtheory.export
READERS = {"onnx": "onnxruntime", "torch": "torch.export"}


def kinds() -> list[str]:
    """What --to takes."""
    from mgtheory.export import TARGETS

    return [*READERS, *TARGETS]


def _completed(incomplete: str) -> list[str]:
    return [kind for kind in kinds() if kind.startswith(incomplete)]


def _learned(run: Path, level: int) -> tuple[Any, str]:
    """The learned polynomial of one level of a run, and what to be told of its batch norms."""
    from analysis.levels.effective import has_norms
    from analysis.runs.records import read_run
    from mgtheory import InitialCoefficients
    from mgtheory.derive import versions

    record = read_run(run)
    if not any(state.factors for state in record.learned):
        raise ValueError(f"run {run}: {record.label} has no polynomial")
    if not 1 <= level <= len(record.learned):
        raise ValueError(f"--level is {level}, {run} has the levels 1 to {len(record.learned)}")
    state = record.learned[level - 1]
    assert state.polynomial is not None
    norms = ", its batch norms left out" if has_norms(state) else ""
    formula = f"learned by {record.config.model.name}, level {level}{norms}"
    provenance = {"formula": formula, "versions": dict(versions())}
    polynomial = state.polynomial.of(state.spectrum.operator_record())
    return InitialCoefficients(polynomial, "learned", provenance), norms


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|INIT.json",
            help="A run folder that train wrote; for petsc and its kin also a file that derive"
            " wrote.",
        ),
    ],
    out: Annotated[
        Path,
        option(
            "--out FILE",
            "File to write: FILE.onnx, FILE.pt2 for torch, options of petsc, calls of hypre, XML of"
            " trilinos, FILE.py of pyamg.",
        ),
    ],
    to: Annotated[
        str | None,
        option(
            "--to {kinds}",
            "A network: onnx, the default, for onnxruntime and others (pip install"
            " 'polymgnet[export]'); torch, that of FILE.pt2, for torch.export.load. Its polynomial,"
            " or that of INIT.json, as a smoother of an engine: {engines}.",
            autocompletion=_completed,
        ),
    ] = None,
    level: Annotated[
        int | None,
        option(
            "--level L",
            "Of a run, for petsc and its kin: the level whose learned polynomial is taken, 1 (the"
            " finest) by default. It is relative to the level's own A, so --lmax is needed.",
        ),
    ] = None,
    lmax: Annotated[
        float | None,
        option(
            "--lmax B",
            "For petsc and its kin: the largest eigenvalue of D^-1 A where the polynomial is"
            " applied, D the diagonal of A; the roots are scaled to it.",
        ),
    ] = None,
    scaling: Annotated[
        str | None,
        option(
            "--scaling diagonal",
            "For petsc and its kin: the interval or points that the polynomial was derived for are"
            " those of D^-1 A.",
        ),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a trained network, its normalisation within, as a file that needs none of this code; or
    a polynomial, derived or learned, as a smoother of PETSc, hypre, Trilinos or PyAMG.

    A network takes images (n, channels, height, width), float32 in [0, 1], any n, and gives scores
    (n, classes); the classes' names are in its metadata. It is loaded again and its scores are
    compared with the network's before it is written.

    A polynomial becomes one of D^-1 A, which is what the engines apply. What one of them cannot
    apply is refused; what it does otherwise stands in the comment at the head of the file, beside
    the operator, lmax, the degree, the source and the predicted factor.

    Example: polymgnet export runs/q2 --to onnx --out q2.onnx

    Example: polymgnet export init.json --to petsc --out smoother.petsc
    """
    from mgtheory import InitialCoefficients
    from mgtheory.export import TARGETS

    if to not in (None, *kinds()):
        raise ValueError(f"--to: {to!r} is not one of {', '.join(map(repr, kinds()))}")
    console.refuse_existing(out, force=force)
    to = to or ("onnx" if source.is_file() else _kind_of(out))
    if to in READERS:
        if source.is_file():
            raise ValueError(
                f"{source} is a file; {to} takes a run folder. A polynomial goes --to one of"
                f" {', '.join(TARGETS)}"
            )
        for name, value in (("--level", level), ("--lmax", lmax), ("--scaling", scaling)):
            if value is not None:
                raise ValueError(f"{name} belongs to a polynomial's engine, not to --to {to}")
        _network(source, out, to, as_json=as_json)
        return
    if source.is_dir():
        coefficients, norms = _learned(source, 1 if level is None else level)
    elif level is not None:
        raise ValueError(f"--level belongs to a run; {source} is a file of one polynomial")
    else:
        coefficients, norms = InitialCoefficients.load(source), ""
    made = coefficients.export(to, lmax=lmax, scaling=scaling)
    for name in made.beside:
        if (file := out.parent / name).exists() and file.read_text("utf-8") != made.beside[name]:
            console.refuse_existing(file, force=force)
    files = made.save(out)
    if as_json:
        document = {"source": source, "file": out, "kind": to, "form": made.form}
        console.emit({**document, "files": files, "degree": coefficients.degree})
        return
    console.say(f"{out}: {made.form}{norms}")
    for file in files[1:]:
        console.say(f"{file}: what it needs beside it")


def _kind_of(out: Path) -> str:
    """What the name of a network's file says; ValueError for an ending that says nothing."""
    if out.suffix not in (found := {"": "onnx", ".onnx": "onnx", ".pt2": "torch"}):
        raise ValueError(
            f"--out is {out}, a network's name ends in .onnx or .pt2; --to says what is written"
            " under another"
        )
    return found[out.suffix]


def _network(run: Path, out: Path, to: str, *, as_json: bool) -> None:
    import nets
    from nets.training.export import export as write

    classifier = nets.load_classifier(run)
    difference = write(classifier, out, to)
    if as_json:
        console.emit({"run": run, "file": out, "kind": to, "difference": difference})
        return
    console.say(
        f"{out}: loaded again by {READERS[to]}, scores equal to {difference:.0e} of the largest"
    )
