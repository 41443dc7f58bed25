"""A run on its way: from the newest state to the end or the next signal, with its files and its
progress."""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from mgtheory._files import write_atomically
from mgtheory.multigrid.solution import counted
from nets.data.order import one_step_an_epoch
from nets.data.sources import DataSet
from nets.models.cost import count_flops, count_parameters
from nets.models.polymgnet import coefficient_parameters
from nets.settings import TrainConfig
from nets.start.report import InitReport, roots_at_guard
from nets.training.bursts import bursts
from nets.training.checkpoint import Checkpoints, save_model
from nets.training.environment import environment
from nets.training.folder import Summary, write_metrics
from nets.training.history import History
from nets.training.notebook import Bar, in_notebook
from nets.training.predict import DataFacts
from nets.training.signals import StopRequest
from nets.training.tensorboard import Board, add_epoch, write_settings
from nets.training.trainer import Trainer

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from rich.progress import Progress

# seconds between two lines of progress where there is no terminal; an epoch's end has its own
EVERY = 30.0


class Run:
    """A run on its way; `begun` where model and report were read from its folder."""

    def __init__(
        self,
        config: TrainConfig,
        out: Path,
        fabric: Fabric,
        trainer: Trainer,
        report: dict[str, Any],
        *,
        begun: bool,
        progress: bool,
        callback: Callable[[dict[str, Any]], None] | None,
        opening: Callable[[nn.Module, DataSet], str] | None,
    ) -> None:
        self.config, self.out, self.fabric, self.trainer = config, out, fabric, trainer
        self.report, self.callback, self.opening = report, callback, opening
        self.first, self.begun = fabric.global_rank == 0, begun
        self.bar: Progress | Bar | None = None
        self.task: Any = None  # of the bar
        self.verbose = progress and self.first
        self.notes: list[str] = []
        if trainer.data.left_out:
            self.notes.append(f"left out of the data: {trainer.data.left_out}")
        count = len(trainer.data.train)
        if said := one_step_an_epoch(config.train, count, trainer.world):
            self.notes.append(said)
        self.notes += trainer.data.unseen()
        self.notes += report["notes"]
        self.checkpoints = Checkpoints(out / "checkpoint", report=self._note)
        if trainer.captured is not None:
            trainer.captured.report = self._note
        self.environment = environment(fabric.device)
        self.flops = count_flops(trainer.raw, trainer.data.shape)

    def execute(self, stop: StopRequest) -> Summary:
        """From the newest state to the end, or until `stop` says so; FloatingPointError where a
        loss or a weight is not finite says where, and whether there is a state from before."""
        try:
            return self._execute(stop)
        except FloatingPointError as error:
            kept = "the last good checkpoint is kept"
            kept = kept if self.checkpoints.files() else "there was no checkpoint yet"
            # SGD's first steps go by gradients that grow with the steps of a level
            way = "a smaller lr" if self.config.optim.clip else "a smaller lr, or optim.clip=1"
            raise FloatingPointError(f"{error}; {kept}, try {way}") from error

    def _execute(self, stop: StopRequest) -> Summary:
        trainer, config = self.trainer, self.config
        state = self._newest_state()
        if self.first:
            self._write_start(keep=state is not None and self.begun)
        history = History(self.out, trainer)
        if state is not None:
            trainer.restore(state)
        if len(trainer.lengths) > 1:
            parts = (f"{epochs} from step {step}" for step, epochs in trainer.lengths)
            self.notes.append(f"train.epochs and its schedule: {', '.join(parts)}")
        if self.first:
            write_metrics(self.out / "metrics.csv", trainer.rows)
            history.begin()
        self.epoch_began = self.last_line = time.perf_counter()
        self.began = self.last_line - trainer.seconds
        self._introduce()
        board = self._board()
        with self._progress() as tick:
            while trainer.epoch < config.train.epochs:
                halted = trainer.run_epoch(stop=stop, tick=tick, save=self.save)
                if not halted:
                    self._close_epoch(board, history)
                    halted = trainer.agreed(stop, now=True) and trainer.epoch < config.train.epochs
                    if halted and trainer.epoch % config.train.checkpoint_epochs:
                        self.save()
                if halted:
                    return self.summary(finished=False)
        return self.finish()

    def _newest_state(self) -> Any:
        """What the run goes on from, if anything; ValueError where it is further than asked."""
        if not (self.out / "config.json").exists():
            return None
        state, epochs = self.checkpoints.load(), self.config.train.epochs
        if state is not None:
            begun = state.info["epoch"] + (state.info["within"] > 0)
            if begun > epochs:
                raise ValueError(
                    f"{self.out} is in epoch {begun}; train.epochs is {epochs}, give that or more"
                )
        return state

    def _write_start(self, *, keep: bool) -> None:
        """Write what is known before the first step; `keep` the start that is there."""
        # of a run that is to train longer; it is no finished one from here on
        (self.out / "summary.json").unlink(missing_ok=True)
        self._write("config.json", self.config.to_dict())
        if not keep:
            self._write("init.json", self.report, allow_nan=True)
            save_model(self.out / "start.safetensors", self.trainer.raw)
        moments = self.trainer.augment.mean, self.trainer.augment.std
        DataFacts.of(self.trainer.data, *moments).save(self.out)

    def _introduce(self) -> None:
        """Say what is trained, on what, and from which start."""
        trainer = self.trainer
        here = f"from step {trainer.step}" if trainer.step else "from the start"
        self._say(f"{self.about()}; {here}")
        self._say(trainer.data.about())
        for note in self.notes[1:] if trainer.data.left_out else self.notes:
            self._say(note)
        if self.opening is not None and self.verbose:
            self._say(self.opening(trainer.raw, trainer.data))
            if not trainer.step and (started := InitReport.from_dict(self.report).about()):
                self._say(f"start: {started}")

    def _write(self, name: str, document: dict[str, Any], *, allow_nan: bool = False) -> None:
        text = json.dumps(document, indent=2, allow_nan=allow_nan)
        write_atomically(self.out / name, text + "\n")

    def _close_epoch(self, board: Board | None, history: History) -> None:
        trainer = self.trainer
        row = trainer.end_epoch()
        if self.first:  # before the state, which is gone on from: it is never ahead of the record
            history.add()
        row["seconds"] = round(time.perf_counter() - self.began, 3)
        row["images_per_second"] = trainer.images_per_second
        section = self.config.train
        if trainer.epoch % section.checkpoint_epochs == 0 or trainer.epoch == section.epochs:
            self.save()
        if not self.first:
            return
        write_metrics(self.out / "metrics.csv", trainer.rows)
        if board is not None:
            add_epoch(board, row, trainer.raw)
        part, accuracy = "validation", row["val_accuracy"]
        if accuracy is None:
            part, accuracy = "training", row["train_accuracy"]
        losses = f"loss {row['train_loss']:.3f}, {part} accuracy {100 * accuracy:.2f} %"
        note = f"epoch {trainer.epoch}/{section.epochs}: {losses}"
        if self.bar is not None:
            self.bar.update(self.task, note=note)
        elif self.verbose:
            now = time.perf_counter()
            self._say(f"{note}, {now - self.epoch_began:.1f} s ({row['seconds']:.0f} s in all)")
            self.epoch_began = self.last_line = now
        if self.callback is not None:
            self.callback(dict(row))

    def save(self) -> None:
        """The state to disk, running statistics shared, losses and weights found finite."""
        trainer = self.trainer
        trainer.share_buffers()
        trainer.check_finite()
        trainer.check_weights()
        trainer.seconds = time.perf_counter() - self.began
        state = trainer.state()
        if self.first:
            self.checkpoints.save(state, step=trainer.step)
        self.fabric.barrier("saved")

    def finish(self) -> Summary:
        """The chosen weights, one look at the test part, and the summary, which ends the run."""
        trainer = self.trainer
        weights = trainer.best or trainer.weights()
        loss, accuracy = trainer.evaluate(trainer.test, weights)
        if loss is not None and not math.isfinite(loss):
            raise FloatingPointError(f"the test loss is {loss} after step {trainer.step}")
        trainer.seconds = time.perf_counter() - self.began
        chosen = trainer.best_row or trainer.rows[-1]
        with trainer.at(weights) as model:
            events = roots_at_guard(model, InitReport.from_dict(self.report))
        for line in bursts(
            trainer.rows,
            clip=self.config.optim.clip,
            images=len(trainer.data.train),
            classes=len(trainer.data.classes),
            test_loss=loss,
            test_accuracy=accuracy,
        ):
            self._note(line)
        tested = {"test_loss": loss, "test_accuracy": accuracy, "best_epoch": chosen["epoch"]}
        summary = self.summary(finished=True, roots_at_guard=events, **tested)
        if self.first:
            save_model(self.out / "model.safetensors", trainer.raw, weights=weights)
            if self.config.train.tensorboard:
                write_settings(self.out, self.config, summary)
            self._write("summary.json", summary.to_dict())
        self.fabric.barrier("finished")
        self._say(f"{self.about()}; {summary.images_per_second:,.0f} images/s")
        if accuracy is not None:
            self._say(
                f"test accuracy {100 * accuracy:.2f} % after"
                f" {counted(trainer.epoch, 'epoch')}, {trainer.seconds:.1f} s; {self.out}"
            )
        if coefficient_parameters(trainer.raw):
            self._say(_about_roots(events))
        return summary

    def summary(self, *, finished: bool, **values: Any) -> Summary:
        """The present numbers; validation and training loss are those of the chosen epoch."""
        trainer, config = self.trainer, self.config
        row = trainer.best_row or (trainer.rows[-1] if trainer.rows else {})
        values |= {key: row.get(key) for key in ("val_accuracy", "val_loss", "train_loss")}
        return Summary(
            finished=finished,
            parameters=count_parameters(trainer.raw),
            epochs=trainer.epoch,
            **values,
            steps=trainer.step,
            seconds=round(trainer.seconds, 3),
            images_per_second=trainer.images_per_second,
            flops_per_image=self.flops,
            model=config.model.name,
            data=config.data.name,
            scheme=config.init.scheme,
            seed=config.train.seed,
            resumed=trainer.resumed,
            notes=list(self.notes),
            environment=self.environment,
        )

    def about(self) -> str:
        """One line: what is trained on what, on which device, by which code."""
        env, trainer, config = self.environment, self.trainer, self.config
        left_out = f" (left out: {trainer.data.left_out})" if trainer.data.left_out else ""
        start = f", init {config.init.scheme}" if self.report["levels"] else ""
        return (
            f"{config.model.name} on {config.data.name}{left_out}{start}:"
            f" {count_parameters(trainer.raw):,} weights,"
            f" {self.flops / 1e6:.1f} MFLOP an image forward;"
            f" {env['device']} x {trainer.world}, {counted(env['threads'], 'thread')},"
            f" torch {env['torch']}, revision {env['revision']}"
        )

    def _note(self, line: str) -> None:
        self.notes.append(line)
        self._say(line)
        if not self.verbose and self.first:
            warnings.warn(line, stacklevel=2)

    def _say(self, line: str) -> None:
        if self.verbose and line:
            # a notebook shows what goes to stderr as if it were an error
            print(line, file=sys.stdout if in_notebook() else sys.stderr)

    def _sign_of_life(self) -> None:
        """After a step, without a terminal: where the run is, if nothing was said for long."""
        now = time.perf_counter()
        if now - self.last_line >= EVERY:
            self.last_line = now
            trainer = self.trainer
            epoch = f"epoch {trainer.epoch + 1}/{self.config.train.epochs}"
            step = f"step {trainer.within}/{trainer.steps_per_epoch}"
            self._say(f"{epoch}, {step}, {now - self.began:.0f} s in all")

    @contextmanager
    def _progress(self) -> Iterator[Callable[[], None]]:
        if self.verbose and in_notebook():
            drawn = self.bar = Bar(self.trainer.total_steps, self.trainer.step)
            try:
                yield drawn.advance
            finally:
                drawn.draw()
                self.bar = None
            return
        if not (self.verbose and sys.stderr.isatty()):
            yield self._sign_of_life if self.verbose else lambda: None
            return
        from rich import progress as rich
        from rich.console import Console

        columns = (
            *(rich.BarColumn(), rich.MofNCompleteColumn(), "steps"),
            *(rich.TimeRemainingColumn(), "{task.fields[note]}"),
        )
        with rich.Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as bar:
            trainer, self.bar = self.trainer, bar
            counts: dict[str, Any] = {"total": trainer.total_steps, "completed": trainer.step}
            self.task = bar.add_task("", note="", **counts)
            yield lambda: bar.advance(self.task)
        self.bar = None

    def _board(self) -> Board | None:
        """TensorBoard's events; None on other ranks and where none are asked for."""
        if not self.first or not self.config.train.tensorboard:
            return None
        again = self.trainer.epoch + 1 if self.trainer.epoch else None
        return Board(self.out / "tensorboard", again)


def _about_roots(events: list[dict[str, Any]]) -> str:
    """One line on the roots that lost their meaning."""
    if not events:
        return (
            "roots: none came near 0, grew without bound or changed its sign; which coefficients"
            " have a meaning, polymgnet analyze says"
        )
    first, more = events[0], f"; {len(events) - 1} more in summary.json" if len(events) > 1 else ""
    where = f"level {first['level']}, step {first['step']} ({first['kind']})"
    return f"roots: {where}: {first['message']}{more}"
