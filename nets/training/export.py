"""A trained classifier as a file that runs without this package: ONNX, or torch.export's .pt2; each
is loaded again and compared before it is written."""

from __future__ import annotations

import copy
import io
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mgtheory._checks import check_kind
from mgtheory._files import write_atomically
from nets.training.predict import Classifier

# input and output of the file: images (n, channels, height, width), floats in [0, 1]; n is free
INPUT, OUTPUT = "images", "scores"
TOLERANCE = 1e-4  # of the scores, relative to the largest: another order of float32 sums
Compare = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class _Pixels(nn.Module):
    """A classifier without the checks of its input, which no graph can hold."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.model = classifier.model
        # buffers: the constants that `normalise` keeps would stay those of the trace
        mean, std = torch.tensor((classifier.mean, classifier.std))[..., None, None]
        self.register_buffer("scale", 1 / std)
        self.register_buffer("shift", -mean / std)

    def forward(self, images: Tensor) -> Tensor:
        weight = next(self.model.parameters())
        pixels = torch.addcmul(self.get_buffer("shift"), images, self.get_buffer("scale"))
        scores: Tensor = self.model(pixels.to(weight.dtype))
        return scores


def export(classifier: Classifier, path: str | Path, kind: str) -> float:
    """Write a classifier with its normalisation as a file of the kind ``onnx`` or ``torch``.

    The file takes ``images`` (n, channels, height, width), float32 in [0, 1], for any n, and gives
    ``scores`` (n, classes); the names of the classes are in its metadata. It is loaded again, by
    onnxruntime or torch, and compared with the classifier on random images before it is written.

    Returns
    -------
    float
        The largest difference of the scores, relative to the largest score.

    Raises
    ------
    ValueError
        Unknown kind, or a classifier that does not know the size of its images.
    ModuleNotFoundError
        ``onnx`` without the packages that it needs (the extra `export`).
    ArithmeticError
        The file's scores are others; nothing was written.
    """
    check_kind(classifier, Classifier, "classifier", "a Classifier, as nets.load_classifier gives")
    kinds = {"onnx": _onnx, "torch": _torch}
    if kind not in kinds:
        raise ValueError(f"kind is {kind!r}; allowed are {', '.join(kinds)}")
    if classifier.size is None:
        raise ValueError("the classifier does not know its size; nets.load_classifier gives one")
    shape = (len(classifier.mean), *classifier.size)
    facts = {"classes": list(classifier.classes), "shape": list(shape)}
    # the caller's keeps its mode, and its device, of which the file is free
    classifier = copy.deepcopy(classifier).cpu().eval()
    content, scores = kinds[kind](_Pixels(classifier), torch.zeros(2, *shape), facts)
    worst = 0.0
    for n in (1, 5):
        images = np.random.default_rng(n).random((n, *shape), dtype=np.float32)
        with torch.no_grad():
            expected = classifier(images).numpy()
        far = float(np.abs(scores(images) - expected).max() / np.abs(expected).max())
        worst = max(worst, far)
    if not worst <= TOLERANCE:
        raise ArithmeticError(f"the {kind} file gives other scores ({worst:.1e} of the largest)")
    write_atomically(path, content)
    return worst


def _torch(module: nn.Module, images: Tensor, facts: dict[str, Any]) -> tuple[bytes, Compare]:
    free = {INPUT: {0: torch.export.Dim("n", min=1)}}
    held = io.BytesIO()
    program = torch.export.export(module, (images,), dynamic_shapes=free)
    torch.export.save(program, held, extra_files={"polymgnet.json": json.dumps(facts)})
    loaded: Any = torch.export.load(io.BytesIO(held.getvalue())).module()

    def scores(given: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            found: NDArray[np.float32] = loaded(torch.from_numpy(given)).numpy()
        return found

    return held.getvalue(), scores


def _onnx(module: nn.Module, images: Tensor, facts: dict[str, Any]) -> tuple[bytes, Compare]:
    import onnx  # noqa: F401  (torch asks for it late, in words of its own)
    import onnxruntime
    import onnxscript  # noqa: F401

    free = {INPUT: {0: torch.export.Dim("n", min=1)}}
    names: dict[str, Any] = {"input_names": [INPUT], "output_names": [OUTPUT]}
    logger = logging.getLogger("torch.onnx")  # speaks of packages that are not needed here
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options: dict[str, Any] = {"dynamo": True, "dynamic_shapes": free, "verbose": False}
            program: Any = torch.onnx.export(module, (images,), **options, **names)
    finally:
        logger.setLevel(level)
    program.model.metadata_props["polymgnet"] = json.dumps(facts)
    content: bytes = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def scores(given: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run([OUTPUT], {INPUT: given})[0]
        return found

    return content, scores
