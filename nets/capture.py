"""A training step captured as one CUDA graph and replayed: a single launch in place of hundreds, so that the host never holds it up.

The step must only read its arguments and tensors that stay where they are, and must not wait for the device. [torch.cuda.CUDAGraph; NVIDIA,
CUDA C++ Programming Guide]
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

__all__ = ["CapturedStep"]


WARMUP = 3  # steps run as they are before the capture: they compile, choose algorithms and make the optimiser's state


class CapturedStep:
    """step(*tensors, total), replayed from a CUDA graph for the shapes and `total` of the first call; other calls run as they are.

    Parameters
    ----------
    step
        Works in place and returns nothing.
    report
        Called with one line where the step cannot be captured; it then runs as it is. Default a warning.
    """

    def __init__(self, step: Callable[..., None], *, report: Callable[[str], None] = warnings.warn) -> None:
        self.step, self.report = step, report
        self.key: Hashable = None
        self.calls = 0
        self.failed = False
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: tuple[Tensor, ...] = ()

    def __call__(self, *arguments: Tensor | int) -> None:
        """One step."""
        key = tuple((a.shape, a.stride(), a.dtype) if isinstance(a, Tensor) else a for a in arguments)
        self.key = self.key or key
        if key != self.key or self.failed:
            self.step(*arguments)
        elif self.calls < WARMUP:
            self.calls += 1
            self._aside(arguments)
        else:
            self._replay(arguments)

    def _aside(self, arguments: tuple[Tensor | int, ...]) -> None:
        """On a stream of its own, as a capture is: what autograd remembers of streams must not be the default one."""
        stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        current = torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            self.step(*arguments)
        current.wait_stream(stream)

    def _replay(self, arguments: tuple[Tensor | int, ...]) -> None:
        given = tuple(a for a in arguments if isinstance(a, Tensor))
        if self.graph is None:
            self.inputs = tuple(a.clone() for a in given)
            held = iter(self.inputs)
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph):
                    self.step(*(next(held) if isinstance(a, Tensor) else a for a in arguments))
            except RuntimeError as error:
                self.failed = True
                self.report(f"the step cannot be captured as a CUDA graph and runs without: {str(error).splitlines()[0]}")
                self.step(*arguments)
                return
            self.graph = graph
        else:
            torch._foreach_copy_(self.inputs, given)
        self.graph.replay()
