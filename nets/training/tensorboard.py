"""What TensorBoard shows of a run: its metrics and coefficients epoch by epoch, and its settings
beside what came of them (HParams)."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from nets.models.coefficients import Coefficients
from nets.settings import TrainConfig
from nets.training.folder import Summary


class Board:
    """An event file in a folder, on the disk as soon as events are added; OSError with its path
    where it cannot be written. Torch's writer leaves that to a thread, whose errors nobody catches.

    What was written before from step `again` on is not shown.
    """

    def __init__(self, folder: Path, again: int | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"events.out.tfevents.{time.time_ns()}"
        self.add({"file_version": "brain.Event:2", "step": again or 0})
        if again is not None:
            self.add({"session_log": SessionLog(status=SessionLog.START), "step": again})

    def add(self, *events: Mapping[str, Any]) -> None:
        """Events by the fields of TensorBoard's record."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        content = io.BytesIO()
        records = RecordWriter(content)
        for event in events:
            records.write(Event(wall_time=time.time(), **event).SerializeToString())
        try:
            with self.path.open("ab") as file:
                file.write(content.getvalue())
        except OSError as error:
            reason = f"could not write {self.path} ({error.strerror or error})"
            raise OSError(error.errno, reason) from error

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Numbers by their names."""
        from torch.utils.tensorboard.summary import scalar

        named = values.items()
        self.add(*({"summary": scalar(name, x), "step": step} for name, x in named))  # type: ignore[no-untyped-call]


def add_epoch(board: Board, row: Mapping[str, Any], model: nn.Module) -> None:
    """A row of metrics.csv, and the coefficients at its end."""
    shown = {k: v for k, v in row.items() if k not in ("epoch", "step") and v is not None}
    learned = {f"coefficients/{name}": value for name, value in coefficients(model)}
    board.add_scalars(shown | learned, row["epoch"])


def coefficients(model: nn.Module) -> Iterator[tuple[str, float]]:
    """Name and value of every number in a model's coefficients."""
    for path, module in model.named_modules():
        if isinstance(module, Coefficients):
            for name, value in module.named_parameters():
                for i, entry in enumerate(value.detach().reshape(-1).tolist()):
                    yield f"{path}.{name}" + (f".{i}" if value.numel() > 1 else ""), entry


def write_settings(run: Path, config: TrainConfig, summary: Summary) -> None:
    """The configuration with what came of it, for TensorBoard's table of runs (HParams)."""
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
    board = Board(folder)
    board.add(*({"summary": part} for part in hparams(plain, found)))  # type: ignore[no-untyped-call]
    board.add_scalars(found, summary.epochs)
