"""The keys of a training run's configuration: six frozen sections, each key with its type, range,
default and meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mgtheory._html import html_table

# the size of what the classifier reads at which networks of one to four levels learn well, and the
# scheme that starts with it: docs/studies/levels.md and starts.md compare
FEATURES = 0.6
DEFAULT_SCHEME = f"bounded:features={FEATURES}"

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """true is not read as 1, as pydantic would."""
        if isinstance(value, bool) and "bool" not in str(
            cls.model_fields[str(info.field_name)].annotation
        ):
            raise PydanticCustomError("no_number", "true and false are no numbers")
        return value


class ModelSection(_Section):
    """Which network: a registered name and the options of `create_model`."""

    name: str = "q2"
    """A registered network, or one of a pattern with a number of its own."""
    width: int | float | None = None
    """Channels of the first level, the others in proportion; or a factor for all, such as 0.5."""
    levels: int | None = None
    """Number of levels."""
    channels: tuple[int, ...] | None = None
    """Every level's channels, in place of width and levels."""
    placement: str | dict[str, str] | None = None
    """Where batch norm and activation stand: a name for all factors, or a table {kind of factor:
    name}."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further options of `nets.create_model`, e.g. model.options.groups=2."""

    def overrides(self) -> dict[str, Any]:
        """The options that were given, as `create_model` takes them."""
        return self.model_dump(exclude={"name", "options"}, exclude_none=True) | self.options


class DataSection(_Section):
    """Which images: a data set's name or `folder:PATH`, where its files lie, and how validation is
    cut out of training."""

    name: str = "digits"
    """A data set by name, or the directory or tar of a folder of images."""
    root: str | None = None
    """Folder of the data sets' files; the user's cache if not given."""
    size: int | None = Field(default=None, ge=1, le=16384)
    """folder:PATH alone: side to which images are scaled and cut; without it all must have one
    size."""
    validation: Fraction = 0.1
    """Part of the training images kept back to choose and watch by, of every class alike; data with
    a validation part of their own keep that."""
    test: Fraction | None = None
    """Part of all images kept back to test on, of every class alike, where the data have no test
    part of their own, as a folder without test/ and val/; a fifth if not given."""
    split_seed: int = Field(default=0, ge=0, lt=2**63)
    """Draws the validation part; not the run's seed, so that seeds share their split."""
    download: bool = True
    """Whether missing files may be fetched."""
    on_device: Literal["auto", "always", "never"] = "auto"
    """Where the images lie: auto puts them on the device where they take less than half of its free
    memory."""
    mean: tuple[float, ...] | None = None
    """Normalisation, per channel, of pixels in [0, 1]; measured on the training part if not
    given."""
    std: tuple[Positive, ...] | None = None
    """Like mean."""

    def arguments(self) -> dict[str, Any]:
        """What `nets.load_data` is called with."""
        return self.model_dump(exclude={"on_device", "mean", "std"})


class AugmentSection(_Section):
    """What is done to training images; null takes what is natural to the data set (see
    `nets.data.sources.SOURCES`)."""

    crop: int | None = Field(default=None, ge=0)
    """Largest shift in pixels."""
    pad: Literal["zeros", "reflect"] = "zeros"
    """What is seen beyond the border."""
    flip: Literal["none", "random", "alternating"] | None = None
    """Left and right: by chance in every epoch, or by turns."""
    rotate: NonNegative | None = None
    """Largest angle in degrees."""
    scale: Fraction | None = None
    """Largest relative change of size."""
    policy: Literal["none", "autoaugment", "randaugment"] = "none"
    """Learned or random operations on colours and geometry."""
    randaugment_ops: int = Field(default=2, ge=1, le=8)
    """RandAugment: operations on an image."""
    randaugment_magnitude: float = Field(default=9.0, ge=0, le=30)
    """RandAugment: their strength."""
    cutout: int = Field(default=0, ge=0)
    """Side in pixels of a square that is blanked out; 0 is off."""
    mixup: NonNegative = 0.0
    """alpha of Beta(alpha, alpha) for blending two images; 0 is off."""
    cutmix: NonNegative = 0.0
    """alpha of Beta(alpha, alpha) for the area pasted from another image; 0 is off. With mixup,
    half and half."""


class InitSection(_Section):
    """Where the polynomial coefficients and the operators A start."""

    scheme: str = DEFAULT_SCHEME
    """How the polynomial coefficients start; options as constant:value=2, file:PATH as derive --out
    wrote it."""
    operator: str = "random"
    """How the operators A start."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the scheme, as a table."""
    weights: str | None = None
    """A run, or a file as its model.safetensors, whose weights are taken where they have equal
    shapes, before scheme and operator act: none and keep leave them, as train --from sets."""


class OptimSection(_Section):
    """The optimiser, its schedule, and what is done to loss, gradients and weights."""

    name: Literal["sgd", "adamw"] = "sgd"
    """The optimiser."""
    lr: Positive = 0.1
    """Peak learning rate."""
    momentum: Fraction = 0.9
    """SGD alone."""
    nesterov: bool = True
    """SGD alone: Nesterov's momentum."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """AdamW alone."""
    weight_decay: NonNegative = 5e-4
    """Of weights; batch norms, biases and polynomial coefficients have none."""
    coefficient_lr: NonNegative = 1.0
    """Factor on the learning rate of the polynomial coefficients; 0 keeps them."""
    schedule: Literal["cosine", "onecycle", "step", "linear", "constant"] = "cosine"
    """Course of the learning rate after the warm-up."""
    warmup: NonNegative = 0.0
    """Epochs of linear rise."""
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    """Schedule step: parts of what follows the warm-up, at each of which the rate is multiplied by
    optim.gamma."""
    gamma: Positive = 0.1
    """Schedule step: factor at a milestone."""
    label_smoothing: Fraction = 0.0
    """Part of the target spread evenly over all classes."""
    ema: Fraction = 0.0
    """Decay of a running mean of the weights, which is then what is evaluated and saved; 0 is
    off."""
    clip: NonNegative = 0.0
    """Largest 2-norm of the whole gradient; 0 is off."""


class TrainSection(_Section):
    """How long, on what, and how safely."""

    epochs: Count = 100
    """Passes through the training part."""
    batch_size: int = Field(default=128, ge=2)
    """Images of a step, over all devices together."""
    last_batch: Literal["keep", "drop"] = "keep"
    """Whether an incomplete last batch is used."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Draws weights, order and augmentation."""
    select: Literal["last", "best"] = "last"
    """Whose weights are saved at the end: of the last epoch, or of the best on the validation
    part."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What computes."""
    devices: Count | Literal["auto"] = 1
    """How many of them, on each node."""
    nodes: Count = 1
    """Machines, started by torchrun or Slurm."""
    precision: Annotated[
        Literal["32", "bf16", "64"], BeforeValidator(lambda v: str(v) if isinstance(v, int) else v)
    ] = "32"
    """Bits of the arithmetic; bf16 keeps weights and optimiser in 32."""
    channels_last: bool | Literal["auto"] = "auto"
    """Memory format NHWC; auto: of this package's models, on a CPU, where a step is 1.1 to 1.6
    times as fast (measured, in float32; not in float64), and of bf16 on CUDA, whose tensor cores
    take it."""
    compile: bool | Literal["auto"] = False
    """torch.compile; auto: on CUDA alone, since on a CPU generated code gained nothing over eager
    (measured)."""
    compile_mode: Literal[
        "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"
    ] = "default"
    """Of torch.compile."""
    cuda_graph: bool | Literal["auto"] = "auto"
    """Steps captured as a CUDA graph; auto: on one GPU, unless compile_mode makes its own."""
    deterministic: bool = False
    """Reproducible to the last bit on a GPU too, slower."""
    sync_batchnorm: bool = False
    """Batch statistics over all GPUs."""
    ghost_groups: Count = 1
    """Parts of a batch with statistics of their own, as of so many devices: equal to them but for
    rounding, which grows with the steps."""
    checkpoint_epochs: Count = 1
    """Epochs between checkpoints."""
    checkpoint_steps: int = Field(default=0, ge=0)
    """Steps between checkpoints within an epoch; 0: only at its end."""
    tensorboard: bool = True
    """Whether event files are written."""
    record: bool = True
    """Whether the coefficients are recorded after every epoch, and the weights after epochs 1, 2,
    4, 8, ...: analyze and figures show from them what training did on its way."""


# arguments of `nets.create_model` that are no options of a model -> what a run has in their place
ELSEWHERE = {
    "generator": "the weights are drawn by train.seed",
    "pretrained": "a run begins at weights by train --from, or init.weights with init.scheme=none"
    " and init.operator=keep",
    "features_only": "a network is trained with its head",
    "device": "a run's is train.accelerator",
    "dtype": "a run's is train.precision",
}


class TrainConfig(_Section):
    """All of a run: nothing outside it changes the weights that come out (on one kind of device,
    with one version of torch)."""

    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    augment: AugmentSection = AugmentSection()
    init: InitSection = InitSection()
    optim: OptimSection = OptimSection()
    train: TrainSection = TrainSection()

    @model_validator(mode="after")
    def _fits(self) -> TrainConfig:
        for option, where in ELSEWHERE.items():
            if option in self.model.options:
                raise ValueError(f"model.options.{option} is given; {where}")
        if (self.data.mean is None) != (self.data.std is None):
            raise ValueError("data.mean and data.std are given together or measured together")
        if self.train.batch_size < 2 * self.train.ghost_groups:
            raise ValueError(
                f"train.batch_size is {self.train.batch_size}; {self.train.ghost_groups} ghost"
                " groups need at least 2 images each"
            )
        if self.optim.name == "sgd" and self.optim.nesterov and self.optim.momentum == 0:
            raise ValueError(
                "optim.momentum is 0; Nesterov needs momentum > 0, or set optim.nesterov=false"
            )
        if self.optim.warmup > self.train.epochs:
            raise ValueError(
                f"optim.warmup is {self.optim.warmup:g} epochs; allowed is at most train.epochs ="
                f" {self.train.epochs}"
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """JSON types; the inverse of `config_from_dict`."""
        return self.model_dump(mode="json")

    def _chosen(self) -> list[tuple[str, Any]]:
        """(dotted key, value) of what is not as it is by default, the network and data always."""
        always = ("model.name", "data.name")
        return [
            (f"{section}.{key}", value)
            for section, own in self
            for key, value in own
            if f"{section}.{key}" in always
            or value != type(own).model_fields[key].get_default(call_default_factory=True)
        ]

    def __repr__(self) -> str:
        return f"TrainConfig({', '.join(f'{key}={value!r}' for key, value in self._chosen())})"

    def _repr_html_(self) -> str:
        """For notebooks: a row a key that is not as it is by default."""
        return html_table(["key", "value"], self._chosen(), ["every other key has its default"])


SECTIONS: dict[str, type[_Section]] = {
    name: type(field.default) for name, field in TrainConfig.model_fields.items()
}

SEED = "seed"  # the last part of its key
# section -> its keys that change no weight that comes out: where files lie, what computes, and how
# a run is recorded
WITHOUT_EFFECT: dict[str, tuple[str, ...]] = {
    "data": ("root", "download", "on_device"),
    "train": ("accelerator", "checkpoint_epochs", "checkpoint_steps", "tensorboard", "record"),
}


def is_seed(key: str) -> bool:
    """Whether a key, as `train.seed`, is that of the seed."""
    return key.split(".")[-1] == SEED


def is_of_training(key: str) -> bool:
    """Whether a key, as `optim.lr` or `lr`, is one of how a network is trained once it has
    started."""
    section, _, name = key.rpartition(".")
    having = [one for one, own in SECTIONS.items() if name in own.model_fields]
    sections = {section} if section else set(having)
    return bool(sections) and sections <= {"optim", "train"}
