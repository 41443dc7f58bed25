"""ResNets for small images, the yardsticks: ResNet-18 with projections, the 6n+2 family with option
A, and their pre-activation forms.

A block adds to its input x two 3x3 convolutions, each with a norm and a relu. Original [He et al.
2016, arXiv 1512.03385]: relu(x + bn(conv(relu(bn(conv x))))). Pre-activation [He et al. 2016, arXiv
1603.05027]: x + conv(relu(bn(conv(relu(bn x))))), with one more relu(bn(.)) before the classifier.
Where the shape changes, x goes through a 1x1 convolution (``projection``; with a norm in the
original form, without in the pre-activation form, behind its first relu) or is subsampled and
padded with zero channels (``pad``, option A).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional as F

from nets.models.base import ImageModel, make_head
from nets.models.convolutions import SeparableConv, StridedConv
from nets.models.options import check_groups, check_kernel, check_separable, one_of, per_level


class Shortcut(nn.Module):
    """x in the shape of the block's output: unchanged, projected by a 1x1 convolution, or
    subsampled and padded with zero channels."""

    def __init__(self, fine: int, coarse: int, *, stride: int, kind: str, norm: bool) -> None:
        super().__init__()
        self.stride = stride
        self.padding = coarse - fine
        projects = kind == "projection" and (stride, fine) != (1, coarse)
        self.conv = StridedConv(fine, coarse, 1, stride=stride) if projects else None
        self.norm = nn.BatchNorm2d(coarse) if projects and norm else None
        if kind == "pad" and coarse < fine:
            raise ValueError(
                f"channels fall from {fine} to {coarse}: option A can only add channels; use"
                " shortcut='projection'"
            )

    def forward(self, x: Tensor) -> Tensor:
        """x in the shape of the block's output."""
        if self.conv is not None:
            x = self.conv(x)
            return x if self.norm is None else cast("Tensor", self.norm(x))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.padding:
            x = F.pad(x, (0, 0, 0, 0, self.padding // 2, self.padding - self.padding // 2))
        return x


class BasicBlock(nn.Module):
    """Two convolutions, dense or separable, with norms and relus beside a shortcut, original or
    pre-activation."""

    def __init__(
        self,
        fine: int,
        coarse: int,
        *,
        stride: int,
        shortcut: str,
        preactivation: bool,
        kernel_size: int = 3,
        groups: int = 1,
        separable: bool = False,
    ) -> None:
        super().__init__()
        dense = partial(StridedConv, groups=groups)
        make: Callable[..., nn.Module] = SeparableConv if separable else dense
        self.preactivation = preactivation
        self.norm1 = nn.BatchNorm2d(fine if preactivation else coarse)
        self.conv1 = make(fine, coarse, kernel_size, stride=stride)
        self.norm2 = nn.BatchNorm2d(coarse)
        self.conv2 = make(coarse, coarse, kernel_size)
        self.shortcut = Shortcut(fine, coarse, stride=stride, kind=shortcut, norm=not preactivation)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, `coarse` channels, the image divided by the stride."""
        if self.preactivation:
            active = F.relu(self.norm1(x))
            x = self.shortcut(active) if self.shortcut.conv is not None else self.shortcut(x)
            return cast("Tensor", x + self.conv2(F.relu(self.norm2(self.conv1(active)))))
        active = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.shortcut(x) + self.norm2(self.conv2(active)))


class ResNet(ImageModel):
    """Stem 3x3, stages of `BasicBlock`s (each but the first halves the image), average pool, linear
    classifier.

    Parameters
    ----------
    channels
        Width of each stage.
    steps
        Blocks, one number for all stages or one per stage.
    shortcut
        ``projection`` or ``pad`` (option A).
    preactivation
        The order of norm, relu and convolution.
    kernel_size, groups, separable
        Of the blocks' convolutions (kernel size also of the stem).
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (64, 128, 256, 512),
        steps: int | Sequence[int] = 2,
        shortcut: str = "projection",
        preactivation: bool = False,
        in_channels: int = 3,
        num_classes: int = 10,
        kernel_size: int = 3,
        groups: int = 1,
        separable: bool = False,
    ) -> None:
        super().__init__()
        one_of(shortcut, "shortcut", ("projection", "pad"))
        check_kernel(kernel_size)
        check_groups(groups, channels)
        check_separable(separable, groups)
        pad = kernel_size // 2
        self.stem = nn.Conv2d(in_channels, channels[0], kernel_size, padding=pad, bias=False)
        self.stem_norm = None if preactivation else nn.BatchNorm2d(channels[0])
        self.stages = nn.ModuleList()
        fine = channels[0]
        options: dict[str, Any] = {"shortcut": shortcut, "preactivation": preactivation}
        options |= {"kernel_size": kernel_size, "groups": groups, "separable": separable}
        for coarse, count in zip(channels, per_level(steps, len(channels), what="steps")):
            stage = []
            for j in range(count):
                stride = 2 if len(self.stages) and j == 0 else 1
                stage.append(BasicBlock(fine, coarse, stride=stride, **options))
                fine = coarse
            self.stages.append(nn.Sequential(*stage))
        self.final_norm = nn.BatchNorm2d(fine) if preactivation else None
        self.fc = make_head(fine, num_classes)

    def feature_maps(self, x: Tensor) -> list[Tensor]:
        """Each stage's output, shape (images, channels, height, width)."""
        x, found = self.stem(x), []
        if self.stem_norm is not None:
            x = F.relu(self.stem_norm(x))
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        if self.final_norm is not None:
            found[-1] = F.relu(self.final_norm(x))
        return found
