"""A training step captured as one CUDA graph and replayed: a single launch in place of hundreds, so
that the host never holds it up.

The step must only read its arguments and tensors that stay where they are, and must not wait for
the device. [torch.cuda.CUDAGraph; NVIDIA, CUDA C++ Programming Guide]
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from nets.settings import TrainSection

Step = Callable[..., None]
# steps run as they are before the capture: they compile, choose algorithms and make the optimiser's
# state
WARMUP = 3


def may_capture(section: TrainSection, device: torch.device, world: int) -> bool:
    """Whether steps become a CUDA graph: as configured, else on one GPU unless torch.compile makes
    graphs of its own; ValueError where one is asked for and cannot be."""
    able = device.type == "cuda" and world == 1
    makes = section.compile_mode in ("reduce-overhead", "max-autotune")
    own = section.compile is not False and makes
    if section.cuda_graph is True and own:
        raise ValueError(
            f"train.cuda_graph is true, but compile_mode {section.compile_mode} makes its own"
            " graphs; use one of both"
        )
    if section.cuda_graph is True and not able:
        raise ValueError(
            f"train.cuda_graph is true; it needs one process on a CUDA device, here: {world} on"
            f" {device.type}; use auto or false"
        )
    return able and bool(section.cuda_graph) and not own


class CapturedStep:
    """Calls step(*tensors, total); from the fourth call with tensors of one kind and one `total`
    on, replays it from a CUDA graph.

    Calls with tensors of another shape, layout or type, or another `total`, run as they are. What
    the step reads from Python (momentum, decay, clipping, which parameters are trained) is that of
    the capture. `report` is called with one line where the step cannot be captured; it then runs as
    it is.
    """

    def __init__(self, *, report: Callable[[str], None] = warnings.warn) -> None:
        self.report = report
        self.key: Hashable = None
        self.calls: Counter[Hashable] = Counter()
        self.stream: torch.cuda.Stream | None = None
        self.failed = False
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: tuple[Tensor, ...] = ()

    def __call__(self, step: Step, *arguments: Tensor | int) -> None:
        """One step, in place; `step` is always the same, not kept: its owner can own this."""
        key = tuple(
            (a.shape, a.stride(), a.dtype) if isinstance(a, Tensor) else a for a in arguments
        )
        self.calls[key] += 1
        if self.failed or self.key not in (None, key):
            step(*arguments)
        elif self.calls[key] <= WARMUP:
            self._aside(step, arguments)
        else:
            self.key = key
            self._replay(step, arguments)

    def _aside(self, step: Step, arguments: tuple[Tensor | int, ...]) -> None:
        """On a stream of its own, as a capture is: autograd must not remember the default one."""
        self.stream = self.stream or torch.cuda.Stream()  # type: ignore[no-untyped-call]
        current = torch.cuda.current_stream()
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            step(*arguments)
        current.wait_stream(self.stream)

    def _replay(self, step: Step, arguments: tuple[Tensor | int, ...]) -> None:
        given = tuple(a for a in arguments if isinstance(a, Tensor))
        if self.graph is None:
            self.inputs = tuple(a.clone() for a in given)
            held = iter(self.inputs)
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph):
                    step(*(next(held) if isinstance(a, Tensor) else a for a in arguments))
            except RuntimeError as error:
                self.failed = True
                reason = str(error).splitlines()[0]
                self.report(
                    f"the step cannot be captured as a CUDA graph and runs without: {reason}"
                )
                return step(*arguments)
            self.graph = graph
        else:
            torch._foreach_copy_(self.inputs, given)
        self.graph.replay()
