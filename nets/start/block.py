"""The smoothing steps of one level as a layer for any network, in one, two and three dimensions:

    u_0 = x,   u_i = u_{i-1} + p_i(A) rho(f - A u_{i-1}),   y = u_n.

With f = 0 and neither norm nor activation y = q(A) x: a residual block whose branch is a polynomial
in one convolution. Its start asks for b, the spectral radius of A on the grid that the layer is
applied to, which is known at the first forward pass.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import NoneType
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, fx, nn

from mgtheory import InitialCoefficients
from mgtheory._checks import check_kind, check_whole
from nets.defaults import own_defaults
from nets.models.base import evaluating
from nets.models.blocks import LevelOptions
from nets.models.checks import check_generator, check_images, check_numbers, on_cpu
from nets.models.classifier import levels_of
from nets.models.coefficients import Coefficients, writing
from nets.models.convolutions import CONVOLUTIONS
from nets.models.options import check_counts
from nets.models.placements import Placement
from nets.models.registry import level_steps
from nets.start.features import Features
from nets.start.initialise import fitted, start_level
from nets.start.operators import check_separable_start, start_operators, start_options
from nets.start.report import LevelReport
from nets.start.scheme import Scheme
from nets.start.schemes import find_scheme, scheme_text
from nets.start.spectrum import LevelSpectrum, measured_grid, shortened


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
        A scheme of `nets.initialise`, with its options, or what `derive` returns, scaled to the
        block's own b; ``none`` leaves the coefficients at 1. With
        a norm behind each correction (``regular``) the size of a linear step's weight has no
        effect in training, and so its start has none; with ``relu_outside_nobn`` it has. With the
        option ``features`` it waits for `start_blocks`: no block knows what is read at the end.
    start_size
        The grid, a number of points for each dimension, for which it is started now; None: at the
        first forward pass, for the grid of its input, with long axes shortened (to 128 points, and
        to 65,536 unknowns where that leaves 8). Other sizes are welcome later: on more than a few
        points an axis, b hardly depends on them.
    operator
        Start of A: ``keep`` (torch's own, uniform in ±1/sqrt(fan_in)), ``random`` (the same, drawn
        at the start), ``laplacian`` or ``shifted``.
    dim
        Number of space dimensions, 1 to 3.
    coefficients, parameterisation
        As of `PolyMgNet`.
    device, dtype
        Of its parameters and norms, as torch's modules take them; for a given device A is drawn on
        the CPU and moved.
    **options
        Of `LevelOptions`: residual, kernel_size, groups, padding_mode, separable, form.

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
        start: str | InitialCoefficients = "bounded",
        *,
        start_size: Sequence[int] | None = None,
        operator: str = "keep",
        dim: int = 2,
        coefficients: str = "step",
        parameterisation: str = "weights",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        channels = check_whole(channels, "channels", 1)
        allowed = [one.name for one in fields(LevelOptions) if one.name != "placement"]
        if unknown := [name for name in options if name not in allowed]:
            raise ValueError(
                f"a PolynomialBlock has no option {unknown[0]!r}; it takes: {', '.join(allowed)}"
            )
        if dim not in list(CONVOLUTIONS):
            raise ValueError(f"dim is {dim!r}, allowed are: {', '.join(map(str, CONVOLUTIONS))}")
        start_options(operator)  # refuses an unknown one
        self.scheme = start
        find_scheme(start)  # refuses an unknown one
        steps = level_steps(factors)
        where = steps.get("placement", "regular") if placement is None else placement
        with on_cpu(device):
            self.level = LevelOptions(where, **options).polynomial_level(
                channels,
                steps["factors"],
                coefficients=coefficients,
                parameterisation=parameterisation,
                last=True,
                dim=dim,
            )
            # a number, of which `torch.optim.swa_utils` can take means: not 0 where one was started
            self.register_buffer("started", torch.tensor(0.0))
        check_separable_start([self.level.A], operator)
        self.dim, self.operator = dim, operator
        self.report: LevelReport | None = None
        self._waits = True  # `started` without a look at a tensor, for which a GPU would wait
        self.to(device=device, dtype=dtype)
        if start_size is not None and not self.started.is_meta:
            self.start(start_size)

    @own_defaults()
    def start(
        self, size: Sequence[int], *, generator: torch.Generator | None = None
    ) -> LevelReport:
        """Start A and the coefficients for inputs of this size (points for each dimension), in
        place, again if need be.

        `generator` draws the random numbers, on the CPU; None is torch's global one. ValueError
        for a size that does not fit, or a scheme that cannot serve the factors or goes by the
        network's features.
        """
        check_generator(generator)
        scheme = find_scheme(self.scheme)
        if scheme is not None and scheme.features is not None:
            raise ValueError(
                f"start is {self.scheme!r}, which goes by what the network reads at its end: before"
                " its first use call nets.start.block.start_blocks(network, images), or take"
                f" {scheme.name}:amplification=M"
            )
        self._start(scheme, self._spectrum(size, generator), generator)
        return cast("LevelReport", self.report)

    def _spectrum(self, size: Sequence[int], generator: torch.Generator | None) -> LevelSpectrum:
        """That of A, started for inputs of this size."""
        axes = f"positive whole numbers, one for each axis of a block with dim={self.dim}"
        check_counts(size, "size", axes, self.dim)
        return start_operators([self.level.A], self.operator, [size], generator=generator)[0]

    def _start(
        self, scheme: Scheme | None, spectrum: LevelSpectrum, generator: torch.Generator | None
    ) -> None:
        """The coefficients by a scheme, on the spectrum of A."""
        self.report, _ = start_level(1, self.level, scheme, spectrum, generator)
        self._note(1.0)

    def reset_parameters(self) -> None:
        """Wait for a start again, as after it was made: torch's name for drawing weights anew.
        A, the coefficients and the norms have their own; ``block.apply`` reaches all of them."""
        self.report = None
        self._note(0.0)

    def _note(self, started: float) -> None:
        """Whether it was started, for its state dict and for the next input."""
        with writing(self.started):
            self.started.fill_(started)
        self._waits = not started

    def forward(self, x: Tensor, f: Tensor | None = None) -> Tensor:
        """y of x, shape (images, channels, *grid); with f of the same shape the steps go towards
        A u = f, else f is 0."""
        _check(x, f, self.dim)
        if self._waits:
            self._start_once(x)
        residual = -self.level.A(x)
        return cast("Tensor", self.level(residual if f is None else f + residual, x)[0])

    def _start_once(self, x: Tensor) -> None:
        """The start for the grid of this input, unless `started` says that it was: a copy made
        before it may since have got the weights of a started block, as a running mean of weights
        does."""
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        traced = traced or isinstance(x, fx.Proxy)
        # of another number of channels: torch says so
        if not traced and (x.is_meta or x.shape[1] != self.level.A.in_channels):
            return
        steps = self.level.smoothing_steps
        if traced or not all(cast("Coefficients", one.coefficients).settable for one in steps):
            raise RuntimeError(
                "a PolynomialBlock that was not started cannot be traced, nor take other weights:"
                " give start_size, call start(size) or pass one batch before torch.compile,"
                " torch.export, torch.fx, torch.jit or torch.func"
            )
        if not self.started:
            if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
                warnings.warn(
                    "a PolynomialBlock starts at its first input in every process by itself: they"
                    " begin alike only with the same grid and the same random numbers; give"
                    " start_size, or start it before the network is wrapped",
                    stacklevel=2,
                )
            # a compiled network takes over behind this: nothing of the start is for its tracer
            tracer = "torch._dynamo" in sys.modules
            start = torch.compiler.disable(self._start_at) if tracer else self._start_at  # type: ignore[no-untyped-call]
            start(x.shape[2:])
        self._waits = False

    def _start_at(self, size: Sequence[int]) -> None:
        """The start for the grid of the first input."""
        self.start(shortened(size, self.level.A.in_channels))

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *others: Any) -> None:
        super()._load_from_state_dict(state, prefix, *others)
        whole = all(f"{prefix}level.{name}" in state for name, _ in self.level.named_parameters())
        if f"{prefix}started" not in state and whole and not self.started.is_meta:
            self._note(1.0)  # parameters without buffers: a start would overwrite them
        self._waits = self.started.is_meta or not self.started


@fx.wrap  # whose tracer asks no input for its shape
def _check(x: Any, f: Any, dim: int) -> None:
    check_kind(x, Tensor, "the input", "a tensor (torch.from_numpy(array))")
    check_kind(f, (Tensor, NoneType), "f", "a tensor of the input's shape, or None for 0")
    if x.ndim != dim + 2:
        raise ValueError(
            f"the input has shape {tuple(x.shape)}, a block with dim={dim} needs {dim + 2} axes:"
            " (images, channels, grid); give dim to the block"
        )


@dataclass(frozen=True)
class StartedBlocks:
    """What the blocks of a network started from.

    Attributes
    ----------
    levels
        Of the blocks for images, numbered in the order in which the network has them: what each
        started from, or is, where it had been started before. Empty where one of them was given
        none of what the images become, or the network has other levels too.
    options, features
        Of the scheme with ``features``, M among them, and the size that what the classifier reads
        has; empty and None where no block asked for it.
    """

    levels: tuple[LevelReport, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    features: float | None = None


@own_defaults()
def start_blocks(
    model: nn.Module, images: Tensor, *, generator: torch.Generator | None = None
) -> StartedBlocks:
    """Start the blocks of a network that wait for their first input by these images, in place.

    Blocks whose start is a scheme with ``features``, as ``bounded:features=0.6``, have one M among
    them, at which what the network's last `torch.nn.Linear` reads has that size over two images or
    more (`nets.start.features`); where no M gives it, the scheme's own.

    Raises
    ------
    ValueError
        For what is no network, or one on the device ``meta``, where blocks ask for ``features`` by
        different schemes, for images that are no tensor, not finite or do not tell it, and for a
        network without a linear layer.
        The blocks then still wait.
    """
    check_kind(model, nn.Module, "model", "a network")
    check_numbers(model)
    check_images(images)
    check_generator(generator)
    # a compiled network would be compiled again for every M that is tried
    compiled = "torch._dynamo" in sys.modules
    with torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext():
        return _started(model, images, generator)


def _started(model: nn.Module, images: Tensor, generator: torch.Generator | None) -> StartedBlocks:
    """See `start_blocks`, for images that are right and a network that is not compiled."""
    blocks = [module for module in model.modules() if isinstance(module, PolynomialBlock)]
    if not blocks:
        return StartedBlocks()
    waiting = {block: find_scheme(block.scheme) for block in blocks if not block.started}
    asking = {block: one for block, one in waiting.items() if one and one.features is not None}
    _check_features([scheme_text(block.scheme) for block in asking], images)
    sizes: dict[PolynomialBlock, Sequence[int]] = {}
    spectra: dict[PolynomialBlock, LevelSpectrum] = {}

    def meet(module: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        block = cast("PolynomialBlock", module)
        size = (given[0] if given else named["x"]).shape[2:]
        if block in waiting and block not in sizes:
            # of images as that of any level
            cut = measured_grid if block.dim == 2 else shortened
            grid = cut(size, block.level.A.in_channels)
            spectra[block] = block._spectrum(grid, generator)
            block._start(waiting[block], spectra[block], generator)
        sizes.setdefault(block, size)

    found = StartedBlocks()
    handles = [block.register_forward_pre_hook(meet, with_kwargs=True) for block in blocks]
    try:
        try:
            with torch.no_grad(), evaluating(model):  # which moves no norm's statistics
                model(images[:1])
        finally:
            for handle in handles:
                handle.remove()
        if met := [block for block in asking if block in spectra]:
            of, own = Features(model, images), [spectra[block] for block in met]
            scheme = fitted(of, asking[met[0]], [b.level for b in met], own, generator)
            for block in met:
                block._start(scheme, spectra[block], generator)
            found = StartedBlocks((), scheme.settings, of.size())
    except BaseException:  # then all of them still wait
        for block in spectra:
            block.reset_parameters()
        raise
    shown = [block for block in blocks if block.dim == 2]
    if not all(block in sizes for block in shown) or levels_of(model) != [b.level for b in shown]:
        return found
    reports = [block.report or _as_it_is(block, sizes[block]) for block in shown]
    levels = tuple(replace(one, level=number) for number, one in enumerate(reports, start=1))
    return replace(found, levels=levels)


def _check_features(schemes: Sequence[str], images: Tensor) -> None:
    if len(several := list(dict.fromkeys(schemes))) > 1:
        raise ValueError(
            f"the blocks start by {' and '.join(several)}; of schemes with features one network"
            " takes one"
        )
    if several and len(images) < 2:
        raise ValueError(
            f"start {several[0]} goes by what differs between images: give two or more"
        )


def _as_it_is(block: PolynomialBlock, size: Sequence[int]) -> LevelReport:
    (spectrum,) = start_operators([block.level.A], "keep", [size])
    return start_level(1, block.level, None, spectrum, None)[0]
