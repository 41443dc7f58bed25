"""The training loop: steps without host synchronisation, epochs, evaluation, states to save and go
on from, over Lightning Fabric.

Everything random is addressed by (seed, epoch, sample), so the position in the run is two integers,
and a state is weights, optimiser, running means and that position. Loss and hits are summed on the
device and read once an epoch; a loss that is not finite is noted on the device with its step and
stops the run before anything is saved after it.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nets.data.augment import Augment, normalise
from nets.data.order import keyed_word, shares, steps_per_epoch
from nets.data.sources import DataSet
from nets.fast.capture import CapturedStep, may_capture
from nets.fast.fusion import compiled, prepare
from nets.models.base import ImageModel
from nets.settings import TrainConfig, TrainSection
from nets.training.checkpoint import State, load_optimizer, optimizer_state
from nets.training.optim import Ema, learning_rate, make_optimizer, set_learning_rate

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EVAL_BATCH = 1000
AGREE_EVERY = 16  # steps between the ranks' agreement on stopping
# numbers augmented or evaluated at once on a GPU (64 MiB of float32): its many small kernels are
# started for all together
AHEAD = 2**24
# attributes of a trainer that a state holds as they are
PROGRESS = (
    *("step", "epoch", "within", "rows", "best_row"),
    *("seconds", "train_seconds", "trained_images"),
)


def memory_format(
    section: TrainSection, device: torch.device, model: nn.Module
) -> torch.memory_format:
    """Of images and weights: as configured, else the faster one of this package's models. Others
    may take views of images, or have weights of more than four axes, which know no NHWC."""
    last = section.channels_last
    if last == "auto":
        faster = {"cpu": ("32", "bf16"), "cuda": ("bf16",)}.get(device.type, ())
        last = isinstance(model, ImageModel) and section.precision in faster
    return torch.channels_last if last else torch.contiguous_format


class Trainer:
    """One run's moving parts on one rank: of a launched fabric, a started model on the CPU, and the
    whole data set, which goes to the device as uint8 where it fits."""

    def __init__(
        self, config: TrainConfig, fabric: Fabric, model: nn.Module, data: DataSet
    ) -> None:
        self.config, self.fabric, self.data = config, fabric, data
        section = config.train
        self.device = fabric.device
        self.world, self.rank = fabric.world_size, fabric.global_rank
        mean, std = data.normalisation(config.data.mean, config.data.std)
        classes, moments = len(data.classes), {"mean": mean, "std": std}
        self.augment = Augment.resolve(
            config.augment, data.source, seed=section.seed, classes=classes, **moments
        )
        side = min(data.shape[-2:])
        for name in ("crop", "cutout"):  # beyond it nothing is left of an image
            if (value := getattr(self.augment, name)) > side:
                raise ValueError(
                    f"augment.{name} is {value}; allowed are 0 to {side}, the side of the images"
                )
        self.steps_per_epoch = steps_per_epoch(section, len(data.train), self.world)
        self.format = memory_format(section, self.device, model)
        self.raw = model.to(device=self.device)
        self.raw = self.raw.to(memory_format=self.format)  # type: ignore[call-overload]
        if section.precision == "64":
            self.raw = self.raw.double()
        self.dtype = next(self.raw.parameters()).dtype
        captured = may_capture(section, self.device, self.world)
        self.optimizer = make_optimizer(
            self.raw, config.optim, fused=self.device.type == "cuda", capturable=captured
        )
        # What is trained and what is evaluated has the tensors of `raw`, which stays the model as
        # it is written: it is what is averaged, saved and counted.
        half = section.precision == "bf16"
        self.eager = prepare(self.raw, self.device, half=half)
        generate = self.device.type == "cuda" if section.compile == "auto" else section.compile
        trained = self.eager
        if generate:
            twin = prepare(self.raw, self.device, half=half, generated=True)
            trained = compiled(twin, section.compile_mode)
        self.model, self.prepared = fabric.setup(trained, self.optimizer)
        self.ema = Ema(self.raw, config.optim.ema) if config.optim.ema else None
        self.images, self.labels = self._place(data)
        share = -(-section.batch_size // self.world) * math.prod(data.shape)
        # a CPU's cache holds one batch at best
        self.ahead = max(1, AHEAD // share) if self.device.type == "cuda" else 1
        self.train, self.validation, self.test = (
            torch.from_numpy(i).to(self.device) for i in (data.train, data.validation, data.test)
        )
        self.step, self.epoch, self.within = 0, 0, 0
        self.rows: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] = {}
        self.best_row: dict[str, Any] = {}
        self.seconds, self.train_seconds, self.trained_images, self.resumed = 0.0, 0.0, 0, 0
        # [first step, epochs of the run whose schedule it has], an entry more for every time that
        # the run was made longer or shorter
        self.lengths = [[0, section.epochs]]
        self.sums = self._no_sums()
        # the step's number where a captured step can read it
        self.number = torch.zeros((), dtype=torch.int64, device=self.device)
        self.captured = CapturedStep() if captured else None

    def _place(self, data: DataSet) -> tuple[Tensor, Tensor]:
        """Images and labels on the device; images stay mapped if over half of its memory."""
        images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
        choice = self.config.data.on_device
        if choice == "auto":
            gpu = self.device.type == "cuda"
            allowed = torch.cuda.mem_get_info(self.device)[0] / 2 if gpu else math.inf
            choice = "always" if images.nbytes <= allowed else "never"
        if choice == "always":
            images = images.to(self.device)
        return images, labels.to(self.device)

    def _no_sums(self) -> dict[str, Tensor]:
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        zero = torch.zeros((), dtype=torch.int64, device=self.device)
        return {"loss": zero.to(kind), "hits": zero.clone(), "seen": zero.clone(), "bad": zero - 1}

    # one step
    # --------------------------------------------------------------------------------------

    def batch(self, samples: Tensor, partners: Tensor) -> tuple[Tensor, Tensor]:
        """Augmented images and targets: labels, or probabilities where images are mixed."""
        u = self.augment.draws(samples, self.epoch)
        x, labels = self._augmented(samples, u), self.labels[samples]
        if self.augment.mixes:
            others = self._augmented(partners, self.augment.draws(partners, self.epoch))
            x, labels = self.augment.mix(x, labels, others, self.labels[partners], u)
            labels = labels.to(self.dtype)
        # what autocast would make of them
        kind = torch.bfloat16 if self.config.train.precision == "bf16" else self.dtype
        return x.to(dtype=kind, memory_format=self.format), labels

    def _augmented(self, samples: Tensor, u: Mapping[str, Tensor]) -> Tensor:
        if self.images.device == self.device:
            return self.augment.images(self.images, samples, u)
        block = self.images[samples.cpu()].to(self.device, non_blocking=True)
        return self.augment.images(block, torch.arange(len(samples), device=self.device), u)

    def train_step(self, x: Tensor, target: Tensor, labels: Tensor, total: int) -> None:
        """One step on this rank's share of `total` images, as `batches` gives it; nothing waits."""
        counts = {"steps": self.total_steps, "steps_per_epoch": self.steps_per_epoch}
        lr = learning_rate(self.config.optim, self.step, **counts)
        set_learning_rate(self.optimizer, lr)
        self.number.fill_(self.step)
        self._seed_modules()
        if self.captured is None:
            self._update(x, target, labels, total)
        else:
            self.captured(self._update, x, target, labels, total)
        if self.ema:
            self.ema.update()
        self.step += 1

    def _seed_modules(self) -> None:
        """Torch's generators by (seed, step, rank): what a module of a user's draws, as a dropout,
        is then that of an uninterrupted run, and another on every rank."""
        seed = self.config.train.seed
        word = keyed_word(seed, seed >> 32, self.step, self.rank)
        torch.default_generator.manual_seed(word)
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(word)

    def _update(self, x: Tensor, target: Tensor, labels: Tensor, total: int) -> None:
        """The part of a step that is captured: what changes from step to step is in tensors."""
        config = self.config.optim
        self.prepared.zero_grad(set_to_none=True)
        scores = self.model(x)
        smoothing = config.label_smoothing
        loss = F.cross_entropy(scores, target, label_smoothing=smoothing, reduction="sum")
        # the ranks' gradients are averaged: together, the mean over the batch
        self.fabric.backward(loss * (self.world / total))
        if self.world > 1:
            self._check_gradients()
        if config.clip:
            self.fabric.clip_gradients(
                self.model, self.prepared, max_norm=config.clip, error_if_nonfinite=False
            )
        self.prepared.step()
        with torch.no_grad():
            sums = self.sums
            sums["loss"] += loss.detach()
            sums["hits"] += (scores.detach().argmax(1) == labels).sum()
            sums["seen"] += len(labels)
            first_bad = (sums["bad"] < 0) & ~torch.isfinite(loss.detach())
            sums["bad"].copy_(torch.where(first_bad, self.number, sums["bad"]))

    def _check_gradients(self) -> None:
        """ValueError for trained parameters without a gradient: the ranks' means wait for them."""
        named = self.raw.named_parameters()
        if idle := [name for name, one in named if one.requires_grad and one.grad is None]:
            more = f" and {len(idle) - 4} more" if len(idle) > 4 else ""
            raise ValueError(
                f"the loss does not depend on {', '.join(idle[:4])}{more} of"
                f" {self.config.model.name} at step {self.step + 1}: on several devices every"
                " parameter needs a gradient in every step; leave them out, freeze them by"
                " requires_grad_(False), or train on one device (train.devices=1)"
            )

    @property
    def total_steps(self) -> int:
        """Of the whole run."""
        return self.steps_per_epoch * self.config.train.epochs

    def shares(self) -> Iterator[tuple[Tensor, Tensor, int]]:
        """(samples, partners, whole batch's size) of each step from here to the epoch's end."""
        section, steps = self.config.train, range(self.within, self.steps_per_epoch)
        address = {"seed": section.seed, "epoch": self.epoch, "size": section.batch_size}
        return shares(self.train, steps=steps, world=self.world, rank=self.rank, **address)

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
        """(images, targets, labels, size of the whole batch) of every step from the present one to
        the end of the epoch, for `train_step`.

        What a sample draws does not depend on the batch it is in, so that `ahead` batches are
        augmented at once.
        """
        coming = self.shares()
        while several := list(itertools.islice(coming, self.ahead)):
            samples, partners, totals = zip(*several)
            together, follow = torch.cat(samples), torch.cat(partners)
            counts = [len(share) for share in samples]
            parts = (*self.batch(together, follow), self.labels[together])
            yield from zip(*(torch.split(part, counts) for part in parts), totals)

    # an epoch
    # --------------------------------------------------------------------------------------

    def run_epoch(
        self, *, stop: Callable[[], bool], tick: Callable[[], None], save: Callable[[], None]
    ) -> bool:
        """The rest of the epoch, `save` at the configured steps; True when asked to stop."""
        self.model.train()
        every = self.config.train.checkpoint_steps
        began = time.perf_counter()
        seen = 0
        try:
            for i, batch in enumerate(self.batches(), self.within):
                self.train_step(*batch)
                self.within = i + 1
                seen += batch[-1]
                tick()
                if self.device.type == "cpu":
                    self.check_finite()
                if self.within == self.steps_per_epoch:
                    break  # what comes at an epoch's end, `end_epoch` does
                halt = self.agreed(stop)
                if halt or (every and self.step % every == 0):
                    self._account(began, seen)
                    began, seen = time.perf_counter(), 0
                    save()
                    if halt:
                        return True
        finally:
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        self._account(began, seen)
        return False

    @property
    def images_per_second(self) -> float:
        """Training images per second of training time."""
        return round(self.trained_images / max(self.train_seconds, 1e-9), 1)

    def _account(self, began: float, seen: int) -> None:
        self.train_seconds += time.perf_counter() - began
        self.trained_images += seen

    def agreed(self, stop: Callable[[], bool], *, now: bool = False) -> bool:
        """Whether any rank wants to stop, asked every `AGREE_EVERY` steps, or `now`."""
        if self.world == 1:
            return stop()
        if self.step % AGREE_EVERY and not now:
            return False
        return self._reduced(torch.tensor(float(stop()), device=self.device)) > 0

    def check_finite(self) -> None:
        """FloatingPointError naming the first step whose loss was not finite."""
        bad = int(self._reduced(self.sums["bad"], "max"))
        if bad >= 0:
            epoch = bad // self.steps_per_epoch + 1
            raise FloatingPointError(f"the loss is not finite at step {bad + 1} (epoch {epoch})")

    def check_weights(self) -> None:
        """FloatingPointError where a weight, a running statistic, a moment of the optimiser or a
        mean of weights is not finite.

        A finite loss does not show it: the update after it may have been the one that overflowed.
        """
        means, moments = self.ema.weights if self.ema else {}, self.optimizer.state.values()
        tables = (self.raw.state_dict(), means, self.best, *moments)
        held = [x for table in tables for x in table.values() if isinstance(x, Tensor)]
        held = [x for x in held if x.is_floating_point() and x.numel()]
        sizes = torch._foreach_norm(held, float("inf"))
        if not bool(torch.stack([torch.isfinite(size).to(self.device) for size in sizes]).all()):
            epoch = -(-self.step // self.steps_per_epoch)
            where = f"after step {self.step} (epoch {epoch})"
            raise FloatingPointError(f"a weight is not finite {where}")

    def _reduced(self, value: Tensor, how: str = "sum") -> float:
        if self.world > 1:
            value = cast("Tensor", self.fabric.all_reduce(value.clone().double(), reduce_op=how))
        return float(value)

    def end_epoch(self) -> dict[str, Any]:
        """Evaluates, adds a row to `rows`, moves to the next epoch and returns the row."""
        self.share_buffers()
        self.check_finite()
        seen = self._reduced(self.sums["seen"])
        row: dict[str, Any] = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            "train_loss": self._reduced(self.sums["loss"]) / seen,
            "train_accuracy": self._reduced(self.sums["hits"]) / seen,
        }
        loss, accuracy = self.evaluate(self.validation)
        if loss is not None and not loss < float("inf"):
            where = f"after step {self.step} (epoch {self.epoch + 1})"
            raise FloatingPointError(f"the validation loss is {loss} {where}")
        row |= {"val_loss": loss, "val_accuracy": accuracy}
        if self.config.train.select == "best" and self._is_better(row):
            self.best_row = row
            self.best = {name: value.clone() for name, value in self.weights().items()}
        self.epoch, self.within = self.epoch + 1, 0
        self._set_sums(self._no_sums())
        self.rows.append(row)
        return row

    def _is_better(self, row: dict[str, Any]) -> bool:
        if not self.best_row:
            return True
        new, old = ((r["val_accuracy"], -r["val_loss"]) for r in (row, self.best_row))
        return new > old

    def weights(self) -> dict[str, Tensor]:
        """The weights that count: their running mean where there is one, else the live ones."""
        return self.ema.weights if self.ema else self.raw.state_dict()

    def share_buffers(self) -> None:
        """The ranks' mean running statistics, those of a ghost batch norm: updates are linear."""
        if self.world == 1:
            return
        # a buffer may be no part of the state, or stand in it under several names
        means = self.ema.weights if self.ema else {}
        named = self.raw.named_buffers(remove_duplicate=False)
        averaged = [means[name] for name, _ in named if name in means]
        for value in (*self.raw.buffers(), *averaged):
            if value.is_floating_point():
                value.copy_(cast("Tensor", self.fabric.all_reduce(value, reduce_op="mean")))

    @contextmanager
    def at(self, weights: dict[str, Tensor]) -> Iterator[nn.Module]:
        """The model at other weights, in eval mode; its own and its mode come back at the end."""
        live = {name: value.clone() for name, value in self.raw.state_dict().items()}
        was_training = self.raw.training
        self.raw.load_state_dict(weights)
        for model in (self.raw, self.eager):
            model.eval()
        try:
            yield self.raw
        finally:
            self.raw.load_state_dict(live)
            for model in (self.raw, self.eager):
                model.train(was_training)

    @torch.no_grad()
    def evaluate(
        self, indices: Tensor, weights: dict[str, Tensor] | None = None
    ) -> tuple[float | None, float | None]:
        """(mean cross-entropy, accuracy) on images as they are, at `weights()` by default."""
        if not len(indices):
            return None, None
        sums = self._no_sums()
        with self.at(self.weights() if weights is None else weights):
            size = EVAL_BATCH
            # as many as the device's memory holds if it holds a training batch
            if self.device.type == "cuda":
                size = max(EVAL_BATCH, 2 * self.config.train.batch_size)
                size = max(1, min(AHEAD // math.prod(self.data.shape), size))
            for part in torch.split(indices.tensor_split(self.world)[self.rank], size):
                x = self.images[part.to(self.images.device)].to(self.device)
                x = normalise(x, self.augment.mean, self.augment.std)
                x = x.to(dtype=self.dtype, memory_format=self.format)
                with self.fabric.autocast():
                    scores = self.eager(x)
                labels = self.labels[part]
                sums["loss"] += F.cross_entropy(scores.to(self.dtype), labels, reduction="sum")
                sums["hits"] += (scores.argmax(1) == labels).sum()
        loss, hits = self._reduced(sums["loss"]), self._reduced(sums["hits"])
        return loss / len(indices), hits / len(indices)

    # states
    # --------------------------------------------------------------------------------------

    def state(self) -> State:
        """All that going on needs."""
        moments, scalars = optimizer_state(self.optimizer)
        parts = {
            "model": self.raw.state_dict(),
            "optim": moments,
            "ema": self.ema.weights if self.ema else {},
            "best": self.best,
            "sums": {name: self._total(value) for name, value in self.sums.items()},
        }
        tensors = {f"{part}.{name}": x for part, held in parts.items() for name, x in held.items()}
        info = {key: getattr(self, key) for key in PROGRESS}
        info |= {"optim": scalars, "ema_updates": self.ema.updates if self.ema else 0}
        return State(tensors, info | {"resumed": self.resumed, "lengths": self.lengths})

    def _total(self, value: Tensor) -> Tensor:
        """A sum over the ranks, from which the first rank goes on, the others from none; that of
        `bad` stays below 0, as nothing is saved after a bad loss."""
        return torch.tensor(self._reduced(value), dtype=torch.float64).to(value.dtype)

    def restore(self, state: State) -> None:
        """Goes back to a state, in place, as compiled code asks; a step is captured anew."""
        info = state.info
        self.raw.load_state_dict(state.part("model"))
        load_optimizer(self.optimizer, state.part("optim"), info["optim"])
        # the optimiser's tensors are new ones
        self.captured = CapturedStep(report=self.captured.report) if self.captured else None
        if self.ema:
            for name, value in state.part("ema").items():
                self.ema.weights[name].copy_(value)
            self.ema.updates = info["ema_updates"]
        self.best = {name: value.to(self.device) for name, value in state.part("best").items()}
        for key in PROGRESS:
            setattr(self, key, info[key])
        self.resumed = info["resumed"] + 1
        # a state of an earlier version has none
        before = [entry for entry in info.get("lengths", ()) if entry[0] < self.step]
        if before and before[-1][1] != self.config.train.epochs:
            self.lengths = [*before, [self.step, self.config.train.epochs]]
        else:
            self.lengths = before or self.lengths
        self._set_sums(self._no_sums() if self.rank else state.part("sums"))

    def _set_sums(self, values: Mapping[str, Tensor]) -> None:
        """In place: a captured step adds to the tensors that it has seen."""
        for name, value in values.items():
            self.sums[name].copy_(value)
