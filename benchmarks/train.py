"""Training speed beside plain loops in one run: images/s, ratio, memory, FLOP utilisation; on a GPU
also synchronisation and accuracy.

    python benchmarks/train.py             step rows, on the GPU where there is one, else on the CPU
    python benchmarks/train.py --rows models       steps of other models beside their convolutions
    python benchmarks/train.py --rows operators    a separable operator as it is written and dense
    python benchmarks/train.py --rows all --data folder:cifar10-jpeg.tar.xz --out rows --seconds 560

The last line is for a GPU and wants two calls of ten minutes: the first prints the step rows,
measures what the accuracy runs cost, chooses their epochs for both calls together and begins; the
second goes on. What is printed is also in `--out`, written as soon as it is known (steps.txt,
accuracy.jsonl, a few kB): carried to another machine, it is all that the second call needs. The
step rows take random images: speed does not depend on them. Needed beside torch and numpy: scipy,
sympy, pillow, safetensors, pydantic, lightning-fabric; and for accuracies pooch, unless
$POLYMGNET_CACHE names the folder of the decoded images.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy import accuracy_rows
from plain import PlainImages, PlainQ2, PlainStep, plain_loader
from probes import (
    convolutions,
    gradient_distances,
    peak_flops,
    repeated,
    same_function,
    stepper,
    synchronisation,
    timed,
)
from torch import Tensor

import nets
from nets.config import load_config
from nets.data.sources import SOURCES, DataSet
from nets.fast.fusion import compiled, exchanged
from nets.fast.levels import DenseSeparable
from nets.models.convolutions import SeparableConv
from nets.models.cost import count_flops
from nets.models.registry import model_options
from nets.settings import TrainConfig
from nets.training.build import build
from nets.training.environment import environment
from nets.training.launch import launched_fabric
from nets.training.train import _settings
from nets.training.trainer import Trainer


def synthetic(count: int, side: int) -> DataSet:
    """Random images of CIFAR-10's kind."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    index, none = np.arange(count), np.arange(0)
    names = tuple(map(str, range(10)))
    source = replace(SOURCES["cifar10"], name="random")
    return DataSet(
        "random",
        images,
        rng.integers(0, 10, count),
        index,
        none,
        none,
        names,
        (0.5,) * 3,
        (0.25,) * 3,
        source,
    )


def trainer(config: TrainConfig, data: DataSet) -> Trainer:
    """Our trainer on its device, ready to step."""
    model, _ = build(config, data)
    return Trainer(config, launched_fabric(config.train), model, data)


def print_table(
    say: Callable[[str], None],
    title: str,
    seconds: dict[str, float],
    batch: int,
    flops: int,
    peak: float,
    asked: dict[str, float],
    note: str,
) -> None:
    """images/s, time of each over ours, and utilisation (three forward passes' worth of operations
    of our network for a step)."""
    ours = seconds["ours"]
    say(f"\n{title}; batch {batch}; {note}")
    say(f"{'':<44}{'images/s':>12}{'ms/step':>10}{'time/ours':>11}{'asked':>7}{'MFU':>8}")
    for name, value in seconds.items():
        goal = asked.get(name)
        mark = (
            "" if goal is None else f"{goal:>7g}" + ("" if value / ours >= goal else "  (missed)")
        )
        mfu = f"{3 * flops * batch / value / peak:>8.1%}"
        say(
            f"{name:<44}{batch / value:>12,.0f}{1e3 * value:>10.2f}{value / ours:>11.2f}"
            f"{mark or '       '}{mfu}"
        )


def settings(args: argparse.Namespace, device: torch.device, batch: int) -> list[str]:
    """Of our step in its own precision; what costs extra and the plain loop does not do (running
    mean of weights, cutout) is off."""
    gpu = device.type == "cuda"
    fast = gpu or any(
        flag in Path("/proc/cpuinfo").read_text() for flag in ("avx512_bf16", "amx_bf16")
    )
    return [
        f"train.accelerator={device.type}",
        f"batch_size={batch}",
        *("placement=regular", "init=constant", "channels_last=true", "ema=0", "cutout=0"),
        *("lr=0.01", "epochs=1000000", "schedule=constant"),
        # on the CPU generated code gains nothing over eager (measured)
        f"compile={str(gpu and not args.eager).lower()}",
        f"precision={args.precision or ('bf16' if fast else '32')}",
    ]


def step_rows(args: argparse.Namespace, device: torch.device, say: Callable[[str], None]) -> None:
    """Training steps of q2 at full width against plain loops."""
    gpu = device.type == "cuda"
    batch = args.batch or (1024 if gpu else 64)
    side, data = 32, synthetic(max(8 * batch, 50_000 if gpu else 256), 32)
    sets = settings(args, device, batch)
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    t = trainer(load_config("fast", sets), data)
    ours = repeated(t)
    for _ in range(8):
        ours()
    memory = torch.cuda.max_memory_allocated() / 2**30 if gpu else 0.0
    eager = [
        "precision=32",
        "compile=false",
        "cuda_graph=false",
        f"channels_last={str(not gpu).lower()}",
    ]
    reference = trainer(load_config("fast", [*sets, *eager]), data)
    precision, flops = t.config.train.precision, count_flops(t.raw, t.data.shape)
    peak, peak_note = peak_flops(device, precision)
    same_function(reference.raw, side)
    x, y = (
        torch.randn(batch, 3, side, side, device=device),
        torch.randint(0, 10, (batch,), device=device),
    )
    contestants: dict[str, Callable[[], Any]] = {"ours": ours}
    for name, skip in (
        ("plain loop float32, 15 convolutions", False),
        ("plain loop float32, 13 convolutions (honest)", True),
    ):
        twin = nets.create_model("q2", placement="regular").to(device)
        twin.load_state_dict(reference.raw.state_dict())
        plain = PlainStep(PlainQ2(twin, skip=skip))
        contestants[name] = lambda plain=plain: plain(x, y)
    contestants["ours, eager float32, 7 convolutions"] = repeated(reference)
    contestants["convolutions alone, as in ours"] = convolutions(t, batch)
    if gpu:
        contestants["convolutions alone, depthwise by cuDNN"] = convolutions(
            t, batch, depthwise=True
        )
        off = gradient_distances(t)
        say(
            f"gradients, distance from those in float32: ours {off[0]:.2%}, eager in {precision}"
            f" {off[1]:.2%}"
        )
    seconds = timed(
        contestants, device, steps=args.steps or (30 if gpu else 3), repeats=args.repeats
    )
    asked = {"plain loop float32, 15 convolutions": 5.0 if gpu else 2.5}
    title = f"training step alone, q2 full width, {side}x{side}, {device}, ours in {precision}"
    print_table(say, title, seconds, batch, flops, peak, asked, peak_note)
    single = seconds["ours, eager float32, 7 convolutions"]
    for name in (
        "plain loop float32, 15 convolutions",
        "plain loop float32, 13 convolutions (honest)",
    ):
        say(
            f"{name}: time over ours in {precision} {seconds[name] / seconds['ours']:.2f}, in eager"
            f" float32 {seconds[name] / single:.2f}"
        )
    over = seconds["ours"] / seconds["convolutions alone, as in ours"]
    say(
        f"step over its convolutions alone: {over:.2f} (asked on the GPU: <= 2.0)"
        + ("  (missed)" if gpu and over > 2 else "")
    )
    if gpu:
        say(
            f"ours: {batch / seconds['ours']:,.0f} images/s (asked: >= 80,000, aim 100,000); peak"
            f" memory {memory:.2f} GiB"
        )
        say(
            'set_sync_debug_mode("error") over twelve steps with their augmentation:'
            f" {synchronisation(stepper(t))}"
        )
        # and that of the paper's recipe, where launches count
        for size in dict.fromkeys((batch, 128)):
            end_to_end(args, data, size, device, say)


def model_rows(args: argparse.Namespace, device: torch.device, say: Callable[[str], None]) -> None:
    """Steps of several models beside their convolutions, and how long each took from nothing to its
    first step, which compiles or finds what was kept; with `--warm` that alone."""
    gpu = device.type == "cuda"
    batch = args.batch or (1024 if gpu else 8)
    data = synthetic(2 * batch, 32)
    say(f"\ntraining step alone, full width, 32x32, {device}; batch {batch}")
    heads = ("first step s", "images/s", "ms/step", "convolutions", "ratio")
    say(f"{'':<16}" + "".join(f"{head:>14}" for head in heads))
    for name in args.models.split(","):
        sets = [f"model={name}", *settings(args, device, batch)]
        config = load_config("fast", [one for one in sets if not one.startswith("placement=")])
        options = {"placement": "regular"} if "placement" in model_options(name) else {}
        model = nets.create_model(name, **options)  # not started: no spectra are measured
        began = time.perf_counter()
        t = Trainer(config, launched_fabric(config.train), model, data)
        step = repeated(t)
        step()
        t.check_finite()  # waits for the device
        first = time.perf_counter() - began
        if args.warm:
            say(f"{name:<16}{first:>14.1f}")
            continue
        contestants = {"step": step, "alone": convolutions(t, batch)}
        steps = args.steps or (30 if gpu else 3)
        one = timed(contestants, device, steps=steps, repeats=args.repeats)
        say(
            f"{name:<16}{first:>14.1f}{batch / one['step']:>14,.0f}{1e3 * one['step']:>14.2f}"
            f"{1e3 * one['alone']:>14.2f}{one['step'] / one['alone']:>14.2f}"
        )


# channels and side of the levels of q2 and, last, of ResNet-18
SHAPES = ((64, 32), (128, 16), (256, 8), (256, 4), (512, 4))


def operator_rows(
    args: argparse.Namespace, device: torch.device, say: Callable[[str], None]
) -> None:
    """One product with a separable A and its backward pass at the levels' shapes, in the step's
    precision and format: filters and a matrix, as they are written, and the dense form of the
    twin for a GPU (`nets.fast.levels.DenseSeparable`)."""
    gpu = device.type == "cuda"
    batch = args.batch or (1024 if gpu else 8)
    say(f"\nproduct with a separable A, forward and backward, bf16, {device}; batch {batch}")
    heads = ("shape", "as written ms", "dense ms", "ratio")
    say("".join(f"{head:>16}" for head in heads))
    for channels, side in SHAPES:
        plain = SeparableConv(channels, channels, 3).to(device, memory_format=torch.channels_last)
        forms = {"plain": plain, "dense": exchanged(plain, {SeparableConv: DenseSeparable})}
        x = torch.randn(batch, channels, side, side, device=device, dtype=torch.bfloat16)
        x = x.to(memory_format=torch.channels_last).requires_grad_()
        seed, inputs = torch.randn_like(x), [x, *plain.parameters()]

        if gpu and not args.eager:
            forms = {name: compiled(form) for name, form in forms.items()}
        runs = {name: partial(_product, form, x, inputs, seed) for name, form in forms.items()}
        one = timed(runs, device, steps=args.steps or (30 if gpu else 3), repeats=args.repeats)
        say(
            f"{f'{channels} x {side}^2':>16}{1e3 * one['plain']:>16.3f}{1e3 * one['dense']:>16.3f}"
            f"{one['plain'] / one['dense']:>16.2f}"
        )


def _product(A: torch.nn.Module, x: Tensor, inputs: list[Tensor], seed: Tensor) -> None:
    """A x in half precision, and the gradients of its product with `seed`."""
    with torch.autocast(x.device.type, dtype=torch.bfloat16):
        y = A(x)
    torch.autograd.grad(y, inputs, seed)


def end_to_end(
    args: argparse.Namespace,
    data: DataSet,
    batch: int,
    device: torch.device,
    say: Callable[[str], None],
) -> None:
    """Augmentation included, against a DataLoader with as many workers as cores; blocks long enough
    that their start does not count."""
    t = trainer(load_config("fast", settings(args, device, batch)), data)
    workers = os.cpu_count() or 1
    loader = plain_loader(
        PlainImages(data.images, data.labels, data.mean, data.std), batch, workers, device
    )
    plain = PlainStep(PlainQ2(nets.create_model("q2", placement="regular").to(device)))
    name = f"plain loop with DataLoader, {workers} workers"
    seconds = timed(
        {"ours": stepper(t), name: lambda: plain(*next(loader))}, device, steps=60, repeats=3
    )
    peak, note = peak_flops(device, t.config.train.precision)
    title = f"end to end (augmentation included), images from memory, {device}"
    print_table(
        say, title, seconds, batch, count_flops(t.raw, t.data.shape), peak, {name: 8.0}, note
    )


class Report:
    """Prints, and keeps every line in a file at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, text: str) -> None:
        """One line or more."""
        print(text, flush=True)
        with self.path.open("a") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())

    @property
    def complete(self) -> bool:
        """Whether an earlier call came to the end."""
        return self.path.exists() and END in self.path.read_text().splitlines()


END = "step rows complete"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", choices=("steps", "models", "operators", "accuracy", "all"), default="steps"
    )
    parser.add_argument(
        "--out", default="runs/benchmark", help="folder of steps.txt and accuracy.jsonl"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=560.0,
        help="of this call; training stops cleanly at its end",
    )
    parser.add_argument(
        "--calls",
        type=int,
        default=2,
        help="calls of so many seconds that the accuracy runs may take together",
    )
    parser.add_argument("--revision", default="", help="of the code, where git cannot tell")
    step = parser.add_argument_group("step rows")
    step.add_argument("--device", choices=("cpu", "cuda"), help="default cuda where there is one")
    step.add_argument("--batch", type=int, default=0)
    step.add_argument("--steps", type=int, default=0)
    step.add_argument("--repeats", type=int, default=5)
    step.add_argument("--models", default="q2,g4,g6,q8,mgnet,resnet18", help="of --rows models")
    step.add_argument("--warm", action="store_true", help="of --rows models: only compile")
    step.add_argument("--eager", action="store_true", help="do not compile our step")
    step.add_argument(
        "--precision",
        choices=("32", "bf16"),
        help="of our step; default bf16 where the processor computes in it",
    )
    runs = parser.add_argument_group("accuracy rows")
    runs.add_argument("--data", default="cifar10")
    runs.add_argument(
        "--epochs", type=int, default=0, help="default: as many as fit, equal for all"
    )
    runs.add_argument("--seeds", type=int, default=3)
    runs.add_argument("--only", default="", help="cases whose name holds this")
    runs.add_argument("--runs", help="run folders, default OUT/runs")
    runs.add_argument("--set", action="append", default=[], help="key=value for every run")
    args = parser.parse_args()
    begin = time.perf_counter()
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    say = Report(Path(args.out) / "steps.txt")
    if args.rows in ("models", "operators"):
        with _settings(load_config("fast").train):
            (model_rows if args.rows == "models" else operator_rows)(args, device, say)
        return
    if args.rows != "accuracy" and not (args.rows == "all" and say.complete):
        say(f"{environment(device)} {args.revision}")
        try:
            # the backend's switches as in a run, for all contestants alike
            with _settings(load_config("fast").train):
                step_rows(args, device, say)
            say(END)
        except Exception as error:  # the accuracy rows are still wanted
            if args.rows == "steps":
                raise
            say(f"step rows: {type(error).__name__}: {error}")
    if args.rows != "steps":
        deadline = begin + args.seconds
        budget = deadline - time.perf_counter() + (args.calls - 1) * args.seconds
        whole = accuracy_rows(args, deadline=deadline, budget=budget)
        print("all rows are there" if whole else "rows are missing: the same command goes on")


if __name__ == "__main__":
    main()
