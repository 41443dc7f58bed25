"""What TensorBoard shows of a run: its metrics and coefficients epoch by epoch, and its settings
beside what came of them (HParams)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from nets.models.coefficients import Coefficients
from nets.settings import TrainConfig
from nets.training.folder import Summary

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def writer(run: Path, again: int | None = None) -> SummaryWriter:
    """Of a run's folder; what was written from epoch `again` on is not shown."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run / "tensorboard"), purge_step=again)


def add_epoch(board: SummaryWriter, row: Mapping[str, Any], model: nn.Module) -> None:
    """A row of metrics.csv, and the coefficients at its end."""
    for key, value in row.items():
        if key not in ("epoch", "step") and value is not None:
            board.add_scalar(key, value, row["epoch"])
    for name, value in coefficients(model):
        board.add_scalar(f"coefficients/{name}", value, row["epoch"])


def coefficients(model: nn.Module) -> Iterator[tuple[str, float]]:
    """Name and value of every number in a model's coefficients."""
    for path, module in model.named_modules():
        if isinstance(module, Coefficients):
            for name, value in module.named_parameters():
                for i, entry in enumerate(value.detach().reshape(-1).tolist()):
                    yield f"{path}.{name}" + (f".{i}" if value.numel() > 1 else ""), entry


def write_settings(run: Path, config: TrainConfig, summary: Summary) -> None:
    """The configuration with what came of it, for TensorBoard's table of runs (HParams)."""
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    keys = {
        f"{section}.{key}": value
        for section, fields in config.to_dict().items()
        for key, value in fields.items()
    }
    plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in keys.items()}
    measured = ("test_accuracy", "val_accuracy", "train_loss")
    reached = {name: getattr(summary, name) for name in measured}
    found = {f"final/{name}": value for name, value in reached.items() if value is not None}
    folder = run / "tensorboard/settings"
    shutil.rmtree(folder, ignore_errors=True)  # of the run before it was made longer
    with SummaryWriter(str(folder)) as board:
        for part in hparams(plain, found):  # type: ignore[no-untyped-call]
            board._get_file_writer().add_summary(part)
        for name, value in found.items():
            board.add_scalar(name, value, summary.epochs)
