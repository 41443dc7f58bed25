"""Run the numerically sensitive tests under several kernels of OpenBLAS, each in processes of its
own: what they assert must not be what one processor happens to round to.

    python tests/kernels.py [Haswell SkylakeX ...]

OpenBLAS chooses its kernel by the processor, or by OPENBLAS_CORETYPE; for a name that it does not
have it takes another one without a word. So a small probe says first which kernel really runs; one
that the libraries do not have, or the processor cannot run, is skipped by a line that says so, and
so is the processor's own where no kernel is named: the whole suite runs under it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

KERNELS = ("Haswell", "SkylakeX", "Nehalem", "Zen")
# tests of eigenvalues, roots and optima: those whose last digits depend on the order of a sum
SENSITIVE = (
    "polynomials/test_fourthkind.py",
    "polynomials/test_gmres.py",
    "polynomials/test_minimax.py",
    "polynomials/test_residual.py",
    "polynomials/test_scores.py",
    "spectra",
    "fourier/test_optimal.py",
    "multigrid/test_coarse.py",
    "test_definiteness.py",
    "test_derive.py",
    "test_families.py",
    "test_foreign_numbers.py",
    "test_init_files.py",
    "test_other_operators.py",
)
# of these, what needs no kernel (high-precision arithmetic), or measures time
LEFT_OUT = "not (closed_form_at_every_degree or recurrence_with_weights or fast or seconds)"
# the products, factorisations and eigenvalues that a kernel is made for, and what it calls itself
PROBE = """
import numpy as np, scipy.linalg, threadpoolctl
A = np.random.default_rng(0).standard_normal((96, 96))
for function in (np.linalg.svd, np.linalg.qr, np.linalg.inv, scipy.linalg.eigvals, scipy.linalg.lu):
    function(A @ A.T + A)
scipy.linalg.eigvals(A, A.T)
print(*sorted({i.get("architecture", i["internal_api"]) for i in threadpoolctl.threadpool_info()
               if i["user_api"] == "blas"}), sep=", ")
"""


def probe(environment: dict[str, str]) -> tuple[int, str]:
    """Exit status of the probe, and the kernels that run."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout.strip()


def main(asked: list[str]) -> int:
    """Test under each kernel that can be had; 1 if a test fails under one."""
    tests = [str(Path(__file__).parent / "mgtheory" / name) for name in SENSITIVE]
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "-k"]
    failed, done = [], []
    _, own = probe(dict(os.environ))
    for kernel in asked or KERNELS:
        environment = {**os.environ, "OPENBLAS_CORETYPE": kernel, "OMP_NUM_THREADS": "1"}
        status, found = probe(environment)
        if status:
            reason = f"this processor cannot run it (the probe ended with {status})"
        elif found == own and not asked:
            reason = f"{found} is what every test runs under here"
        elif found != kernel:
            reason = f"not in these libraries, they take {found or 'no BLAS that tells'} for it"
        else:
            start = time.perf_counter()
            print(f"kernel {kernel}: tests run under {found}", flush=True)
            if subprocess.run([*pytest, LEFT_OUT, *tests], env=environment).returncode:
                failed.append(kernel)
            done.append(kernel)
            print(f"kernel {kernel}: {time.perf_counter() - start:.0f} s", flush=True)
            continue
        print(f"kernel {kernel}: SKIPPED, {reason}", flush=True)
    print(f"kernels tested: {', '.join(done) or 'none'}; failed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
