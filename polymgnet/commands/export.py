"""`export`: a trained network as a file that runs without this package."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from polymgnet import console
from polymgnet.options import Force, Json, Run, option


class Kind(StrEnum):
    """What reads the file."""

    ONNX = "onnx"
    TORCH = "torch"

    @property
    def reader(self) -> str:
        """By which it is loaded again."""
        return {"onnx": "onnxruntime", "torch": "torch.export"}[self.value]


def export(
    run: Run,
    out: Annotated[Path, option("--out FILE", "File to write: FILE.onnx, or FILE.pt2 for torch.")],
    to: Annotated[
        Kind,
        option(
            "--to onnx|torch",
            "onnx for onnxruntime and others (pip install 'polymgnet[export]'); torch for"
            " torch.export.load.",
        ),
    ] = Kind.ONNX,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a trained network, its normalisation within, as a file that needs none of this code.

    It takes images (n, channels, height, width), float32 in [0, 1], any n, and gives scores (n,
    classes); the classes' names are in its metadata. It is loaded again and its scores are compared
    with the network's before it is written.

    Example: polymgnet export runs/q2 --to onnx --out q2.onnx
    """
    import nets
    from nets.training.export import export as write

    console.refuse_existing(out, force=force)
    classifier = nets.load_classifier(run)
    difference = write(classifier, out, to.value)
    if as_json:
        console.emit({"run": run, "file": out, "kind": to.value, "difference": difference})
        return
    print(f"{out}: loaded again by {to.reader}, scores equal to {difference:.0e} of the largest")
