"""The smoothing steps of one level as a layer for any network, in one, two and three dimensions:

    u_0 = x,   u_i = u_{i-1} + p_i(A) rho(f - A u_{i-1}),   y = u_n.

With f = 0 and neither norm nor activation y = q(A) x: a residual block whose branch is a polynomial
in one convolution. Its start asks for b, the spectral radius of A on the grid that the layer is
applied to, which is known at the first forward pass.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from nets.defaults import own_defaults
from nets.models.base import evaluating
from nets.models.blocks import CONVOLUTIONS, LevelOptions
from nets.models.classifier import levels_of
from nets.models.options import check_counts
from nets.models.placements import Placement
from nets.models.registry import level_steps
from nets.start.initialise import start_level
from nets.start.operators import start_operators, start_options
from nets.start.report import LevelReport
from nets.start.schemes import find_scheme


class PolynomialBlock(nn.Module):
    """Smoothing steps with polynomials in one convolution A, as a layer that starts itself.

    Parameters
    ----------
    channels
        Of input and output.
    factors
        Kinds of the steps, such as ``linear``, ``symmetric_pair`` or ``general4``; or the name of a
        network whose steps of one level these are: ``q4`` (4 linear steps), ``g6``, ``r4``, ``p4``.
    placement
        Where norm and activation stand: a placement, or a mapping kind of factor -> placement. None
        is that of the network named in `factors`, else ``regular``.
    start
        A scheme of `nets.initialise`, with its options; ``none`` leaves the coefficients at 1. With
        a norm behind each correction (``regular``) the size of a linear step's weight has no
        effect in training, and so its start has none; with ``relu_outside_nobn`` it has. The option
        ``features`` is a network's: no block knows what is read at the end.
    start_size
        The grid, a number of points for each dimension, for which it is started now; None: at the
        first forward pass, for the grid of its input. Other sizes are welcome later: on more than a
        few points an axis, b hardly depends on them.
    operator
        Start of A: ``keep`` (torch's own, uniform in ±1/sqrt(fan_in)), ``random`` (the same, drawn
        at the start), ``laplacian`` or ``shifted``.
    dim
        Number of space dimensions, 1 to 3.
    coefficients, parameterisation
        As of `PolyMgNet`.
    **options
        Of `LevelOptions`: residual, kernel_size, groups, padding_mode, form.

    Attributes
    ----------
    level
        The steps and A.
    report
        What it started from: factors, b, max |q|, mu; None before, and where it was loaded.
    started
        Of the state dict: a block that loads that of a started one is not started again.

    Notes
    -----
    The start sets parameters in place. Let it come first where more than one process trains (DDP
    compares the processes' weights when it wraps a model, not later), where a running mean of the
    weights begins, and before torch.export or a torch.compile of the full graph: by `start_size`,
    by `start`, or by one batch.
    """

    started: Tensor

    def __init__(
        self,
        channels: int,
        factors: str | Sequence[str] = "q2",
        placement: str | Placement | Mapping[str, str | Placement] | None = None,
        start: str = "bounded",
        *,
        start_size: Sequence[int] | None = None,
        operator: str = "keep",
        dim: int = 2,
        coefficients: str = "step",
        parameterisation: str = "weights",
        **options: Any,
    ) -> None:
        super().__init__()
        check_counts([channels], "channels")
        if dim not in CONVOLUTIONS:
            raise ValueError(f"dim is {dim!r}, allowed are: {', '.join(map(str, CONVOLUTIONS))}")
        start_options(operator)  # refuses an unknown one
        self.scheme = start
        scheme = find_scheme(start)  # refuses an unknown one
        if scheme is not None and scheme.features is not None:
            raise ValueError(
                f"start is {start!r}: features is measured at the end of a network of"
                f" create_model; a block takes {scheme.name}:amplification=M"
            )
        steps = level_steps(factors)
        where = steps.get("placement", "regular") if placement is None else placement
        self.level = LevelOptions(where, **options).polynomial_level(
            channels,
            steps["factors"],
            coefficients=coefficients,
            parameterisation=parameterisation,
            last=True,
            dim=dim,
        )
        self.dim, self.operator = dim, operator
        self.report: LevelReport | None = None
        self.register_buffer("started", torch.tensor(False))
        self._waits = True  # `started` without a look at a tensor, for which a GPU would wait
        if start_size is not None and not self.started.is_meta:
            self.start(start_size)

    @own_defaults()
    def start(
        self, size: Sequence[int], *, generator: torch.Generator | None = None
    ) -> LevelReport:
        """Start A and the coefficients for inputs of this size (points for each dimension), in
        place, again if need be.

        `generator` draws the random numbers, on the CPU; None is torch's global one. ValueError
        for a size that does not fit, or a scheme that cannot serve the factors.
        """
        axes = f"positive whole numbers, one for each axis of a block with dim={self.dim}"
        check_counts(size, "size", axes, self.dim)
        (spectrum,) = start_operators([self.level.A], self.operator, [size], generator=generator)
        self.report, _ = start_level(1, self.level, find_scheme(self.scheme), spectrum, generator)
        self.started.fill_(True)
        self._waits = False
        return self.report

    def forward(self, x: Tensor, f: Tensor | None = None) -> Tensor:
        """y of x, shape (images, channels, *grid); with f of the same shape the steps go towards
        A u = f, else f is 0."""
        if x.ndim != self.dim + 2:
            raise ValueError(
                f"the input has shape {tuple(x.shape)}, a block with dim={self.dim} needs"
                f" {self.dim + 2} axes: (images, channels, grid); give dim to the block"
            )
        if self._waits and not x.is_meta:
            self._start_once(x.shape[2:])
        residual = -self.level.A(x)
        return cast("Tensor", self.level(residual if f is None else f + residual, x)[0])

    def _start_once(self, size: Sequence[int]) -> None:
        """The start, unless `started` says that it was: a copy made before it may since have got
        the weights of a started block, as a running mean of weights does."""
        if torch.compiler.is_compiling():
            raise RuntimeError(
                "a PolynomialBlock that was not started cannot be traced: give start_size, call"
                " start(size) or pass one batch before torch.compile or torch.export"
            )
        if not self.started:
            # a compiled network takes over behind this: nothing of the start is for its tracer
            traced = "torch._dynamo" in sys.modules
            start = torch.compiler.disable(self.start) if traced else self.start  # type: ignore[no-untyped-call]
            start(size)
        self._waits = False

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self._waits = self.started.is_meta or not self.started


@own_defaults()
def start_blocks(
    model: nn.Module, images: Tensor, *, generator: torch.Generator | None = None
) -> tuple[LevelReport, ...]:
    """Start the blocks of a network that wait for their first input by these images, in place.

    Returns
    -------
    tuple of LevelReport
        Of the blocks for images, numbered in the order in which the network has them: what each
        started from, or is, where it had been started before. Empty where one of them was given
        none of what the images become, or the network has other levels too.
    """
    blocks = [one for one in model.modules() if isinstance(one, PolynomialBlock) and one.dim == 2]
    if not blocks:
        return ()
    sizes: dict[nn.Module, Sequence[int]] = {}

    def meet(block: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        size = (given[0] if given else named["x"]).shape[2:]
        sizes.setdefault(block, size)
        if not block.started:
            cast("PolynomialBlock", block).start(size, generator=generator)

    handles = [block.register_forward_pre_hook(meet, with_kwargs=True) for block in blocks]
    try:
        with torch.no_grad(), evaluating(model):  # which moves no norm's statistics
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    if len(sizes) < len(blocks) or [block.level for block in blocks] != levels_of(model):
        return ()
    return tuple(
        replace(block.report or _as_it_is(block, sizes[block]), level=number)
        for number, block in enumerate(blocks, start=1)
    )


def _as_it_is(block: PolynomialBlock, size: Sequence[int]) -> LevelReport:
    (spectrum,) = start_operators([block.level.A], "keep", [size])
    return start_level(1, block.level, None, spectrum, None)[0]
