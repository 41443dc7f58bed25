"""What training does to the polynomials, kept as it goes: the coefficients of every step after
every epoch, and whole models at epochs that lie farther and farther apart.

coefficients.jsonl       a line an epoch, the start's is 0: the factors of q of each level
epochs/0004.safetensors  the weights that count after epochs 1, 2, 4, 8, ... (those of the start and
                         of the end are in start.safetensors and model.safetensors)

b, max |q| and the smoothing factor need the spectrum of A, which takes up to half of the time of an
epoch on small images. They are measured from these models where they are asked for
(`analysis.along_training`), by the same functions as those of the start and of the end; training
itself only copies numbers.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from mgtheory._files import write_atomically
from mgtheory.polynomials.factors import Factor, factor_from_dict
from nets.models.classifier import levels_of
from nets.models.coefficients import Coefficients
from nets.training.checkpoint import write_model

if TYPE_CHECKING:
    from nets.training.trainer import Trainer

COEFFICIENTS, EPOCHS = "coefficients.jsonl", "epochs"
Levels = tuple[tuple[Factor, ...], ...]  # of each level the factors of its steps


class History:
    """The recording side: made while the trainer's model is still at its start.

    Nothing is recorded of a model without polynomial coefficients, nor where `train.record` is off.
    A run that goes on keeps the lines up to the epoch it goes on from, so that an interrupted run
    has the files of an uninterrupted one.
    """

    def __init__(self, out: Path, trainer: Trainer) -> None:
        self.path, self.folder, self.trainer = out / COEFFICIENTS, out / EPOCHS, trainer
        self.start = _line(0, trainer.raw) if trainer.config.train.record else ""

    def begin(self) -> None:
        """The lines and models up to the trainer's epoch; what is later is taken out."""
        if not self.start:
            return
        done, kept = self.trainer.epoch, []
        if done and self.path.is_file():
            for line in self.path.read_text(encoding="utf-8").splitlines(keepends=True):
                try:
                    epoch = int(json.loads(line)["epoch"])
                except (ValueError, KeyError, TypeError):  # the last one of a killed process
                    break
                if 0 < epoch <= done and line.endswith("\n"):
                    kept.append(line)
        write_atomically(self.path, "".join([self.start, *kept]))
        for epoch, file in kept_models(self.path.parent).items():
            if epoch > done:
                file.unlink()
        # of a run that is made longer: what was its end is now on its way
        if self.trainer.within == 0 and not _file(self.folder, done).is_file():
            self._keep()

    def add(self) -> None:
        """The epoch that the trainer has just ended, at the weights that count."""
        if not self.start:
            return
        trainer = self.trainer
        own = trainer.at(trainer.weights()) if trainer.ema else nullcontext(trainer.raw)
        with own as model:
            try:
                line = _line(trainer.epoch, model)
            except ValueError:  # a weight is not finite: the run ends where it is looked at next
                return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)
        self._keep()

    def _keep(self) -> None:
        trainer, epoch = self.trainer, self.trainer.epoch
        if is_kept(epoch) and epoch < trainer.config.train.epochs:
            self.folder.mkdir(exist_ok=True)
            spec: Any = trainer.raw.spec
            write_model(_file(self.folder, epoch), spec, trainer.weights())


def is_kept(epoch: int) -> bool:
    """Whether the model after an epoch is kept: 1, 2, 4, 8, ..."""
    return epoch > 0 and epoch & (epoch - 1) == 0


def _file(folder: Path, epoch: int) -> Path:
    return folder / f"{epoch:04d}.safetensors"


def _line(epoch: int, model: nn.Module) -> str:
    """A model's factors as a line; empty without polynomial coefficients."""
    if not any(isinstance(module, Coefficients) for module in model.modules()):
        return ""
    steps = [
        [step.factor().to_dict() for step in level.smoothing_steps] for level in levels_of(model)
    ]
    return json.dumps({"epoch": epoch, "levels": steps}, allow_nan=False) + "\n"


def read_coefficients(run: str | Path) -> dict[int, Levels]:
    """Epoch -> the factors of every level, of a run's coefficients.jsonl, 0 the start; empty where
    there is no such file (of an earlier version, or `train.record` was off).

    Raises
    ------
    ValueError
        One line: the file, the line and what is wrong with it.
    """
    path, found = Path(run) / COEFFICIENTS, dict[int, Levels]()
    if not path.is_file():
        return found
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            entry: dict[str, Any] = json.loads(line)
            epoch, given = int(entry["epoch"]), cast("list[Any]", entry["levels"])
            levels = tuple(tuple(map(factor_from_dict, steps)) for steps in given)
            kinds = [[(one.kind, one.degree) for one in steps] for steps in levels]
            first = [[(one.kind, one.degree) for one in steps] for steps in found.get(0, levels)]
            if kinds != first or epoch <= max(found, default=-1):
                raise ValueError("other steps than before, or epochs out of order")
            found[epoch] = levels
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}, line {len(found) + 1}: no coefficients of an epoch ({reason}); truncated or"
            " changed, remove the file to go without it"
        ) from error
    return found


def kept_models(run: str | Path) -> dict[int, Path]:
    """Epoch -> file of the models that a run has kept on its way, as `load_model` reads them."""
    files = sorted((Path(run) / EPOCHS).glob("*.safetensors"))
    return {int(file.stem): file for file in files if file.stem.isdecimal()}
