"""`make petsc`: every case of `ours.py` by PETSc, with one process and with two, against this
package's own hierarchy; what PETSc gave is recorded in histories.json, which `make test` reads."""

import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.petsc import ours

HERE = Path(__file__).parent
TOLERANCE = 1e-12  # of the first norm; sums are taken in another order


def versions(python):
    """PETSc's version, and the folder that it is installed in."""
    code = (
        "import petsc4py; petsc4py.init(); from petsc4py import PETSc;"
        "print('.'.join(map(str, PETSc.Sys.getVersion())));"
        "print(petsc4py.get_config()['PETSC_DIR'])"
    )
    return subprocess.check_output([python, "-c", code], text=True).split()


def built(folder, python, source):
    """ex45.c of PETSc's sources, compiled as it is."""
    petsc = Path(versions(python)[1])
    program = folder / "ex45"
    libraries = [f"-L{petsc}/lib", f"-Wl,-rpath,{petsc}/lib", "-lpetsc", "-lm"]
    compiler = Path(python).parent / "mpicc"
    command = [compiler, source, f"-I{petsc}/include", *libraries, "-o", program]
    subprocess.run(list(map(str, command)), check=True)
    return program


def measured(run, processes, folder, python, program):
    """PETSc's residual norms, relative to the first."""
    ksp, name = ours.RUNS[run]
    made = ours.CASES[name].export("petsc")
    file = made.save(folder / f"{name}.petsc")[0]
    what = [str(program)] if ksp == "ex45" else [python, str(HERE / "poisson.py")]
    launch = [str(Path(python).parent / "mpiexec"), "-n", str(processes)] if processes > 1 else []
    command = [*launch, *what, *ours.options(ksp), "-options_file", str(file)]
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    if ksp != "ex45":
        return json.loads(done.stdout)
    norms = [float(norm) for norm in re.findall(r"KSP Residual norm (\S+)", done.stdout)]
    return [norm / norms[0] for norm in norms]


def main():
    home = Path(sys.argv[1]).resolve()  # that build.py filled
    folder, python = home / "run", str(home / "bin" / "python")
    folder.mkdir(exist_ok=True)
    program = built(folder, python, home / "ex45.c")
    histories, worst = {}, 0.0
    for run in ours.RUNS:
        mine = ours.history(run)
        for processes in (1, 2):
            theirs = measured(run, processes, folder, python, program)
            far = np.inf if len(theirs) != len(mine) else np.abs(np.array(theirs) - mine).max()
            worst = max(worst, far)
            histories[f"{run} {processes}"] = theirs
            print(f"{run:32} {processes}  {len(theirs) - 1} steps to {theirs[-1]:.3e}  {far:.1e}")
    if not worst <= TOLERANCE:
        sys.exit(f"the residual norms differ by {worst:.1e}, allowed are {TOLERANCE:g}")
    what = {"petsc": versions(python)[0], "date": datetime.date.today().isoformat()}
    text = json.dumps(what | {"histories": histories}, indent=1)
    ours.RECORD.write_text(re.sub(r",\n\s+(?=[-\d])", ", ", text) + "\n")
    print(f"all equal to {worst:.1e}; recorded in {ours.RECORD.name}")


main()
