"""The kernels of `nets.pde.fused` without a GPU: every operation in Triton's interpreter against
plain torch, and each kernel compiled for a GPU, with its registers and what it spills.

    TRITON_INTERPRET=1 python tests/gpu/kernels.py [GRID ...]     compare
    python tests/gpu/kernels.py [WORDS ...]                       compile, those with WORDS alone
    python tests/gpu/kernels.py --gpu [GRID ...]                  compare on a GPU

`make gpu-kernels` installs Triton beside the environment and does both. It is imported by the
collection of the other tests, so that Triton is imported on use alone.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from mgtheory import poisson
from mgtheory.problems.manufactured import SmoothCoefficient

# nested, uneven and tiny axes; star and box stencils, and faces; one to three axes
GRIDS = {
    "1d": ((300,), "standard"),
    "nested": ((15, 31), "standard"),
    "uneven": ((12, 40), "9-point"),
    "semi": ((15, 15), "semi"),
    "tiny": ((3, 2), "standard"),
    "3d": ((7, 6, 5), "standard"),
    "19-point": ((3, 5, 7), "19-point"),
    "q1": ((6, 5, 4), "q1"),
    "flat": ((1, 1, 5), "standard"),
    "faces 1d": ((300,), "faces"),
    "faces": ((15, 40), "faces"),
    "faces 3d": ((7, 6, 5), "faces"),
}
# compiling the others takes minutes
ON_GPU = ("nested", "uneven", "3d", "q1", "faces", "faces 3d")
TARGET = ("cuda", 90, 32)


def problem(name):
    shape, kind = GRIDS[name]
    if kind == "semi":
        return poisson(shape, weights=(1.0, 0.01))
    if kind == "faces":
        return poisson(shape, coefficient=SmoothCoefficient())
    return poisson(shape) if kind == "standard" else poisson(shape, stencil=kind)


def levels(name, dtype, kernels, device):
    """The finest level of two, and of one; both have b."""
    from nets.pde.device import DeviceHierarchy

    made = DeviceHierarchy.build(
        problem(name), device=device, kernels=kernels, dtype=dtype, coarsest=1, max_levels=2
    )
    return made.levels


class Same:
    """Compares tensors; `worst` is the largest difference so far, in eps of the type that they were
    computed in, of the largest value."""

    def __init__(self, dtype):
        self.worst, self.eps = 0.0, torch.finfo(dtype).eps

    def __call__(self, one, two):
        assert (one.shape, one.dtype) == (two.shape, two.dtype)
        far = float((one - two).abs().max() / two.abs().max()) / self.eps
        self.worst = max(self.worst, far)
        # rounding of sums of moduli up to (1 + omega |A|)^k times x
        assert far < 100, far


def compare(names, device) -> None:
    """Every operation, two systems at once, in float64 and float32."""
    for name in names:
        for dtype in ("float64", "float32"):
            start = time.process_time()
            (plain, *below), (fused, *_) = (
                levels(name, dtype, k, device) for k in ("torch", "triton")
            )
            assert (plain.how, fused.how) == ("plain torch", "Triton")
            same = Same(plain.dtype)
            kind = {"dtype": plain.dtype, "generator": torch.Generator().manual_seed(0)}
            x, b = (torch.randn((2, *plain.grid), **kind).to(device) for _ in range(2))
            plain.b = fused.b = b
            omega = 1.0 if GRIDS[name][1] == "faces" else 1.0 / plain.largest  # of D^-1 A, or A
            limit = max(len(s) for s in fused.cut([np.array([[omega, 0.0]])] * 5))
            steps = omega * np.array([[0.7, 0.0], [0.9, 0.3 / omega], [0.4, 0.0], [1.1, 0.0]])
            limit = min(limit, len(steps))  # plain sweeps have no limit
            for k, given in ((1, x), (limit, x), (limit, None)):
                same(fused.smoothed(given, steps[:k]), plain.smoothed(given, steps[:k]))
            if below:
                e = torch.randn((2, *below[0].grid), **kind).to(device)
                for full, onto in ((False, x), (True, None)):
                    made = (l.interpolated(e, full=full, onto=onto) for l in (fused, plain))
                    same(*made)
                for given in (x, None):
                    to = [torch.full_like(e, math.nan) for _ in range(2)]
                    pairs = zip((fused, plain), to, strict=True)
                    norms = [level.residual(given, t, norm=True) for level, t in pairs]
                    same(*to)
                    same(*norms)
            for one, two in zip(fused.remainder(x), plain.remainder(x), strict=True):
                same(one, two)
            same(fused.residual(x, None, norm=True), plain.residual(x, None, norm=True))
            print(
                f"{name:>9} {dtype}: equal to {same.worst:4.1f} eps, passes of {limit} degrees,"
                f" {time.process_time() - start:.1f} s",
                flush=True,
            )


def compile_all() -> None:
    """Each kernel that a solve launches, for both types: registers, spilled bytes, shared memory,
    as Nvidia's assembler says; fails where one spills. As a launch has it, pointers are multiples
    of 16 bytes, and what is 1 of a grid's extents is a constant."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from nets.pde import fused

    # a GPU numbers 65,535 programs along any but the first of its axes
    assert fused.programs((1023,) * 3, fused.block((1023,) * 3), 9)[1:] == (9,)
    ptxas = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
    print(f"Triton {triton.__version__}, sm_{TARGET[1]}, {fused.LANES} points, {fused.WARPS} warps")
    print(f"{'kernel':<44}{'registers':>10}{'spilled':>9}{'shared':>8}{'reads':>7}{'seconds':>9}")
    spills = []
    for what, kernel, kinds, constants in launches(fused):
        if sys.argv[1:] and not any(words in what for words in sys.argv[1:]):
            continue
        start = time.perf_counter()
        names = kernel.arg_names
        given = iter(kinds)
        signature = {
            n: "constexpr"
            if n in constants
            else "i32"
            if re.fullmatch("[nm][012]", n)
            else next(given)
            for n in names
        }
        places = {(names.index(n),): value for n, value in constants.items()}
        aligned = {
            (i,): [["tt.divisibility", 16]] for i, n in enumerate(names) if signature[n][0] == "*"
        }
        source = ASTSource(fn=kernel, signature=signature, constexprs=places, attrs=aligned)
        made = triton.compile(source, target=GPUTarget(*TARGET), options={"num_warps": fused.WARPS})
        ptx = made.asm["ptx"]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "kernel.ptx")
            file.write_text(ptx)
            said = subprocess.run(
                [ptxas, "-v", f"--gpu-name=sm_{TARGET[1]}a", file, "-o", file.with_suffix(".o")],
                capture_output=True,
                text=True,
                check=True,
            ).stderr
        registers = int(re.search(r"Used (\d+) registers", said)[1])
        spilled = sum(map(int, re.findall(r"(\d+) bytes spill", said)))
        reads = len(re.findall(r"ld\.global", ptx))
        print(
            f"{what:<44}{registers:>10}{spilled:>9}{made.metadata.shared:>8}{reads:>7}"
            f"{time.perf_counter() - start:>9.1f}",
            flush=True,
        )
        spills += [what] * (spilled > 0)
    assert not spills, spills


def launches(fused):
    """(name, kernel, types of the arguments that are not constants, constants) of each."""
    tiles = {1: (1, 1, 128), 2: fused.block((99, 1, 99)), 3: fused.block((99, 99, 99))}
    for dtype, short in (("fp64", "float64"), ("fp32", "float32")):
        v, table = f"*{dtype}", "*i32"
        for dim, star in ((2, True), (3, True), (2, False), (3, False)):
            used = (1, int(dim == 3), 1)
            flat = {"n1": 1, "m1": 1} if dim == 2 else {}
            what = f"{dim}D {'star' if star else 'box'} {short}"
            REACH = 1 if star else dim
            for k in range(1, fused.DEGREES[dim] + 1):
                radii = {f"K{a}": k * u for a, u in enumerate(used)}
                radii |= {f"P{a}": (k - 1) * u for a, u in enumerate(used)}
                tile = {"TZ": 16, "TY": 1 if dim == 2 else 4, "TX": 128 if dim == 2 else 32}
                for from_x in (True, False):
                    yield (
                        f"smooth {'' if from_x else 'from 0 '}{k}, {what}",
                        fused.smooth,
                        [v] * 4,
                        {
                            **({"n1": 1} if dim == 2 else {}),
                            **{"K": k, "REACH": REACH, **radii, "FROM_X": from_x, **tile},
                            "UNROLL": fused.UNROLL,
                        },
                    )
            forms = [(1, "not restricted", True), (3, "nested", dim == 2)]
            forms += [(4, "uneven", dim == 2 and star)]
            for taps, form, from_x in forms:
                all_taps = {f"T{a}": taps if u else 1 for a, u in enumerate(used)}
                flags = {"FROM_X": from_x, "STORE": True, "NORM": True}
                radii = {f"R{a}": u for a, u in enumerate(used)}
                yield (
                    f"{'residual' if from_x else 'restriction'}, {form}, {what}",
                    fused.restrict,
                    [v, v, v, "*fp64", v, *[table, v, table] * 3],
                    {**flat, **all_taps, **radii, "REACH": REACH, **flags, **tiles[dim]},
                )
        for dim in (2, 3):
            used = (1, int(dim == 3), 1)
            for smooths in (True, False):
                flags = {"SMOOTH": smooths, "STORE": True, "NORM": not smooths}
                yield (
                    f"{'step' if smooths else 'residual'}, faces, {dim}D {short}",
                    fused.flux,
                    [v, v, v, "*fp64", *[v] * 4],
                    {
                        **({"n1": 1} if dim == 2 else {}),
                        **{f"A{a}": bool(u) for a, u in enumerate(used)},
                        **flags,
                        **tiles[dim],
                    },
                )
            flat = {"n1": 1, "m1": 1} if dim == 2 else {}
            for taps, form in ((2, "linear"), (4, "cubic")):
                all_taps = {f"T{a}": taps if u else 1 for a, u in enumerate(used)}
                yield (
                    f"interpolate, {form}, {dim}D {short}",
                    fused.interpolate,
                    [v, v, v, *[table, v] * 3],
                    {**flat, **all_taps, "ADD": True, **tiles[dim]},
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--gpu"]:
        compare(sys.argv[2:] or ON_GPU, "cuda")
    elif os.environ.get("TRITON_INTERPRET") == "1":
        import triton.runtime.interpreter as interpreter

        # checks of every sum of whole numbers, which take half of the time
        object.__setattr__(interpreter.interpreter_builder.options, "sanitize_overflow", False)
        compare(sys.argv[1:] or GRIDS, "cpu")
    else:
        compile_all()
    sys.exit(0)
