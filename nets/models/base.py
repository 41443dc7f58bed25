"""What every network of the registry has, under timm's names: features, a head that can be changed,
feature maps of all resolutions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from mgtheory._checks import check_whole

if TYPE_CHECKING:
    from nets.models.spec import ModelSpec


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode within; at the end every module has its own mode again, as one that is kept in eval
    mode in a network that trains."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


class NoHead(nn.Identity):
    """The averaged features as they are, in the place of the linear layer of a network without
    classes."""

    out_features = 0

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.in_features = in_features


def make_head(features: int, classes: int, **where: Any) -> nn.Linear | NoHead:
    """The last layer of a network: a linear one, or none where there are 0 classes."""
    return nn.Linear(features, classes, **where) if classes else NoHead(features)


class ImageModel(nn.Module):
    """A classifier of images: a convolution `stem` first, features (images, channels, height,
    width), their average over the image, and a linear layer `fc`, or with 0 classes none behind the
    average. `create_model` sets `spec`, the name and options that rebuild it."""

    spec: ModelSpec | None = None
    stem: nn.Conv2d
    fc: nn.Linear | NoHead

    @property
    def in_channels(self) -> int:
        """Channels of the images."""
        return self.stem.in_channels

    @property
    def num_classes(self) -> int:
        """Number of scores; 0: the averaged features in their place."""
        return self.fc.out_features

    @property
    def num_features(self) -> int:
        """Channels of the features."""
        return self.fc.in_features

    def feature_maps(self, x: Tensor) -> list[Tensor]:
        """The features at the end of each resolution, finest first."""
        raise NotImplementedError

    def features(self, x: Tensor) -> Tensor:
        """Those of the coarsest resolution, as the head takes them."""
        return self.feature_maps(x)[-1]

    def forward_features(self, x: Tensor) -> Tensor:
        """`features`, by timm's name."""
        return self.features(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Class scores of features; with `pre_logits`, or without classes, their average (images,
        channels)."""
        x = x.mean(dim=(2, 3))
        return x if pre_logits else cast("Tensor", self.fc(x))

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (images, classes) of images (images, in_channels, height, width)."""
        return self.forward_head(self.features(x))

    def reset_classifier(
        self, num_classes: int, *, generator: torch.Generator | None = None
    ) -> None:
        """A new last layer for so many classes, uniform in ±1/sqrt(channels), or none for 0; all
        else stays, and `spec` follows, so that the model can be saved and rebuilt."""
        num_classes = check_whole(num_classes, "num_classes", 0)
        like, bound = self.stem.weight, self.num_features**-0.5
        self.fc = make_head(self.num_features, num_classes, device=like.device, dtype=like.dtype)
        with torch.no_grad():
            for parameter in self.fc.parameters():
                drawn = torch.empty(parameter.shape, dtype=parameter.dtype)
                parameter.copy_(drawn.uniform_(-bound, bound, generator=generator))
        if self.spec is not None:
            overrides = {**self.spec.overrides, "num_classes": num_classes}
            self.spec = replace(self.spec, overrides=overrides)


class FeatureMaps(nn.Module):
    """A network without its head: a list of the feature maps of all resolutions, finest first, as
    timm's ``features_only`` gives them; for segmentation or detection on top."""

    def __init__(self, model: ImageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> list[Tensor]:
        """One map (images, channels, height, width) for each resolution."""
        return self.model.feature_maps(x)
