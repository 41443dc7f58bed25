"""Print the tables of docs/scaling.md: `python -m docs.scaling` the model, from the numbers below;
`python -m docs.scaling measure` what they rest on, measured here by processor time (minutes)."""

import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

# ---- what was measured; the page says where
START = 5.0  # s of a process until it trains: 4.1 of a study itself, 5.7 of each worker
RUN = 12.1  # s of a run of studies/starts.toml --scale digits on one core, median of 254 rows
WEIGHTS = 1_385_554  # of q2, of three channels and ten classes
STEPS = ((1024, 9.06e-3), (128, 128 / 67_600))  # images a step, s; benchmarks/results/train-h200.md
SOLVE = 25e-9  # s of one core for an unknown to 1e-8, 2047 x 2047; benchmarks/results/solve-cpu.md
# ---- what is assumed
QUEUE = 15.0  # s from the end of a job until Slurm has started the next one
# bytes/s out of one GPU, and s until a message arrives
LINKS = {
    "NVLink, 8 in a machine": (400e9, 5e-6),
    "InfiniBand 400 Gbit/s": (45e9, 8e-6),
    "Ethernet 100 Gbit/s": (11e9, 25e-6),
    "Ethernet 10 Gbit/s": (1.1e9, 50e-6),
}
NETWORK = (10e9, 2e-6)  # the same of a process of the solver
CYCLES = 4  # a full multigrid pass and the cycles after it


def study_time(runs: int, seconds: float, jobs: int, *, slurm: bool = False) -> float:
    """Seconds until all runs are finished: START once, once more for the workers of several local
    jobs, which live on; of each job on Slurm, which also waits for its turn."""
    turns = math.ceil(runs / jobs)
    if slurm:
        return START + turns * (QUEUE + START + seconds)
    return START * (1 + (jobs > 1)) + turns * seconds


def step_time(images: float) -> float:
    """Seconds of a training step of q2 on one H200: a line through the two that were measured."""
    (many, slow), (few, quick) = STEPS
    slope = (slow - quick) / (many - few)
    return quick + slope * (images - few)


def ring(size: float, gpus: int, link: str) -> float:
    """Seconds to sum `size` bytes over all GPUs: 2 (g - 1) messages of size/g, one behind the
    other."""
    rate, latency = LINKS[link]
    return 2 * (gpus - 1) * (latency + size / gpus / rate)


def fewest(total: float, part: float) -> int:
    """Images a GPU from which on a sum of `total` seconds is at most that part of step and sum."""
    step, (many, _), (few, _) = total * (1 - part) / part, *STEPS
    slope = (step_time(many) - step_time(few)) / (many - few)
    return max(1, math.ceil(few + (step - step_time(few)) / slope))


def exchange(n: int, dim: int, processes: int) -> float:
    """Seconds of communication of a solve to 1e-8 on n^dim unknowns.

    Every product with A on a level of m unknowns a process exchanges 2 dim faces of m^((dim-1)/dim)
    doubles, one behind the other; degrees are 2, 3, 4, ... 6, before and after.
    """
    if processes == 1:
        return 0.0
    rate, latency = NETWORK
    total, degree = 0.0, 2
    while n > 1:
        face = max(1.0, n**dim / processes) ** ((dim - 1) / dim)
        total += CYCLES * (2 * degree + 1) * 2 * dim * (latency + 8 * face / rate)
        n, degree = n // 2, min(degree + 1, 6)
    return total


def model() -> Iterator[str]:
    """The tables of the model, line by line."""
    yield f"study, hours; runs of {RUN:g} s (digits) and of 600 s"
    yield f"{'':>22}" + "".join(f"{jobs:>9}" for jobs in (1, 2, 8, 64)) + "  jobs"
    for runs, seconds in ((90, RUN), (90, 600.0), (1000, 600.0)):
        for slurm in (False, True):
            cells = (study_time(runs, seconds, jobs, slurm=slurm) / 3600 for jobs in (1, 2, 8, 64))
            where = "Slurm" if slurm else "local"
            yield f"{runs:>5} x {seconds:>5g} s {where:>6}" + "".join(f"{c:>9.2f}" for c in cells)
    yield ""
    size = 4 * WEIGHTS
    yield f"q2, gradients of {size / 1e6:.2f} MB: ms of a sum; part of a step that computes, in %"
    yield f"{'':>24}{'sum':>21}{'1024 images a GPU':>21}{'1024 images in all':>21}"
    yield f"{'GPUs':>24}" + "".join(f"{g:>7}" for g in (2, 8, 64)) * 3
    for link in LINKS:
        sums, each, whole = list[str](), list[str](), list[str]()
        for gpus in (2, 8, 64):
            if "machine" in link and gpus > 8:
                sums.append("-")
                each.append("-")
                whole.append("-")
                continue
            spent = ring(size, gpus, link)
            for cells, images in ((each, 1024), (whole, 1024 / gpus)):
                cells.append(f"{100 * step_time(images) / (step_time(images) + spent):.0f}")
            sums.append(f"{1e3 * spent:.2f}")
        yield f"{link:>24}" + "".join(f"{cell:>7}" for cell in sums + each + whole)
    yield ""
    yield "images a GPU from which on sums over 8 take at most a half, or a tenth, of the time"
    for link in LINKS:
        total = ring(size, 8, link)
        yield f"{link:>24}{fewest(total, 0.5):>7,}{fewest(total, 0.1):>7,}"
    yield ""
    yield "solve to 1e-8: seconds; part of the time that computes, in %"
    yield f"{'processes':>20}" + "".join(f"{p:>9}" for p in (1, 16, 128, 1024, 8192))
    for n, dim in ((8191, 2), (65535, 2), (511, 3), (2047, 3)):
        times, parts = [], []
        for p in (1, 16, 128, 1024, 8192):
            computing = SOLVE * n**dim / p
            whole = computing + exchange(n, dim, p)
            times.append(f"{whole:.3g}")
            parts.append(f"{100 * computing / whole:.0f}")
        yield f"{f'{n}^{dim}':>20}" + "".join(f"{t:>9}" for t in times)
        yield f"{'%':>20}" + "".join(f"{t:>9}" for t in parts)


# ---- what can be measured on one machine, by processor time, also where it is busy


def spent(words: Sequence[str]) -> float:
    """Processor seconds of a command and of the processes that it starts."""

    def so_far() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = so_far()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return so_far() - before


def measured_study() -> Iterator[str]:
    """Eight short runs in turn and two at a time, and the same command when all is done."""
    text = (
        'config = "digits"\n[set]\nepochs = 2\nwidth = 4\ntensorboard = false\n'
        "[grid]\nseed = [0, 1, 2, 3, 4, 5, 6, 7]\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.toml"
        file.write_text(text)
        cost = {}
        for what, jobs in (("1", 1), ("2", 2), ("nothing to do", 1)):
            out = str(Path(folder) / f"runs{jobs}")
            words = ["-m", "polymgnet", "study", str(file), "--out", out, "--jobs", str(jobs)]
            cost[what] = spent(words)
    run = (cost["1"] - cost["nothing to do"]) / 8
    yield "study of 8 runs, processor seconds: " + ", ".join(
        f"{w} {c:.1f}" for w, c in cost.items()
    )
    yield f"a run {run:.2f}; two jobs at once {cost['2'] / cost['1']:.2f} times the work of one"


def measured_solver() -> Iterator[str]:
    """Processor nanoseconds for an unknown to 1e-8, in the middle of five; set-up included."""
    from mgtheory import Hierarchy, StencilHierarchy, poisson

    def sparse(problem: object) -> None:
        Hierarchy.build(problem, dtype="float32", degree=3).solve(problem.b, cycle="FMG")

    def stencil(threads: int, problem: object) -> None:
        StencilHierarchy.build(problem, threads=threads).solve(problem.b, cycle="FMG")

    ways = {"sparse": sparse}
    ways |= {f"stencil, {t} threads": lambda p, t=t: stencil(t, p) for t in (1, 2)}
    sizes = (255, 511, 1023, 2047)
    yield f"{'ns an unknown':>20}" + "".join(f"{f'{n}^2':>9}" for n in sizes)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for n in sizes:
        problem = poisson((n, n))
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(6):
            for name, solve in ways.items():
                began = time.process_time()
                solve(problem)
                taken[name].append(time.process_time() - began)
        for name, found in taken.items():
            times[name].append(1e9 * median(found[1:]) / n**2)
    for name, row in times.items():
        yield f"{name:>20}" + "".join(f"{value:>9.1f}" for value in row)


def rank(number: int, file: str) -> None:
    """One of two processes that sum q2's gradients; the first says what that and a step cost."""
    import torch
    import torch.distributed as dist

    import nets

    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{file}", rank=number, world_size=2)
    gradients, sums = torch.ones(WEIGHTS), []
    for _ in range(30):
        began = time.process_time()
        dist.all_reduce(gradients)
        sums.append(time.process_time() - began)
    if number == 0:
        model, images = nets.create_model("q2"), torch.randn(32, 3, 32, 32)
        steps = []
        for _ in range(4):
            began = time.process_time()
            model(images).sum().backward()
            steps.append(time.process_time() - began)
        one, two = median(sums), median(steps[1:])
        print(f"sum of q2's gradients {1e3 * one:.1f} ms, its step on 32 images {1e3 * two:.0f} ms")
    dist.destroy_process_group()


def measured_sum() -> Iterator[str]:
    """A sum over two processes of this machine beside a step of one, processor time of one."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "docs.scaling", "rank", str(Path(folder) / "meeting")]
        both = [
            subprocess.Popen([*words, str(k)], stdout=subprocess.PIPE, text=True) for k in (0, 1)
        ]
        yield both[0].communicate()[0].strip()
        both[1].wait()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    asked = sys.argv[1:2]
    if asked == ["rank"]:
        rank(int(sys.argv[3]), sys.argv[2])
    else:
        parts = (
            (measured_study, measured_solver, measured_sum) if asked == ["measure"] else (model,)
        )
        for part in parts:
            for line in part():
                print(line, flush=True)
