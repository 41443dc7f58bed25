"""A polynomial in PETSc's options."""

from __future__ import annotations

from types import MappingProxyType

from mgtheory.export.conversion import TABLE, Export, Given, commented

PYTHON_PC = "polymgnet_pc"  # the module that PETSc imports for complex pairs
ON_LEVELS = "mg_levels_"  # PETSc's prefix of what smooths on every level but the coarsest

_PETSC_LEVELS = (
    "The options smooth every level of -pc_type mg or gamg but the coarsest by the same q of D^-1"
    " A, whose spectrum must end at lmax there too, as it does for a rediscretised Laplacian; else"
    " give each level its own file, with mg_levels_1_ (the coarsest but one), mg_levels_2_, ... in"
    " the place of mg_levels_."
)
_PETSC_ONCE = (
    "PETSc appends the steps whenever the KSP that they belong to reads its options, and the new"
    " ones are its default solvers. Multigrid has each level read them once, in its set-up: call"
    " KSPSetFromOptions once, and for no KSP of a level."
)
_PETSC_PYTHON = (
    f"Complex pairs need {PYTHON_PC}.py, which lies beside this file and reads its steps from it:"
    " PYTHONPATH must name its folder, and the program must be one of petsc4py (or PETSc be built"
    " with it)."
)

_PYTHON_PC = '''"""q(D^-1 A) as a preconditioner of PETSc, by the option pc_polynomial_steps."""

from petsc4py import PETSc


class Polynomial:
    """Corrections c = (w - k D^-1 A) D^-1 r, one for each pair w,k; k = 0 is a real root 1/w."""

    def setFromOptions(self, pc):
        given = PETSc.Options(pc.getOptionsPrefix()).getRealArray("pc_polynomial_steps")
        self.steps = list(zip(given[::2], given[1::2]))

    def setUp(self, pc):
        self.A = pc.getOperators()[0]
        self.inverse = self.A.getDiagonal()
        self.inverse.reciprocal()
        self.s, self.c, self.z = (self.inverse.duplicate() for _ in range(3))

    def apply(self, pc, r, x):
        s, c, z = self.s, self.c, self.z
        r.copy(s)
        x.set(0.0)
        for n, (w, k) in enumerate(self.steps, start=1):
            c.pointwiseMult(self.inverse, s)
            if k:
                self.A.mult(c, z)
                z.pointwiseMult(self.inverse, z)
                c.axpby(-k, w, z)
            else:
                c.scale(w)
            x.axpy(1.0, c)
            if n < len(self.steps):
                self.A.mult(c, z)
                s.axpy(-1.0, z)
'''


def petsc(given: Given) -> Export:
    """A file for ``-options_file``."""
    own, beside, remarks = given.kind, {}, [_PETSC_LEVELS]
    degree = {"ksp_max_it": str(given.q.degree), "ksp_norm_type": "none", "pc_type": "jacobi"}
    once = degree | {"ksp_max_it": "1"}
    if own is not None and own.name == "equal":
        form = "equal steps of Richardson"
        options = {"ksp_type": "richardson", "ksp_richardson_scale": f"{1 / own.upper!r}", **degree}
    elif own is not None and not (own.name == "opt_fourth" and given.q.degree > TABLE):
        form = f"its Chebyshev of kind {own.name}"
        # PETSc refuses a lower end of 0, and the fourth kinds do not look at it
        lower = own.lower or own.upper / 10
        if not own.lower:
            remarks.append("The fourth kinds need no lower end; PETSc wants one and ignores it.")
        options = {
            "ksp_type": "chebyshev",
            "ksp_chebyshev_kind": own.name,
            "ksp_chebyshev_eigenvalues": f"{lower!r},{own.upper!r}",
            **degree,
        }
    elif given.q.is_real_rooted:
        form = "a composite of one Richardson step per root"
        remarks.append(_PETSC_ONCE)
        options = {"ksp_type": "richardson", **once, "pc_type": "composite"}
        options["pc_composite_type"] = "multiplicative"
        options["pc_composite_pcs"] = ",".join("ksp" for _ in given.steps)
        for i, (w, _) in enumerate(given.steps):
            step = {"ksp_type": "richardson", "ksp_richardson_scale": repr(w), **once}
            options |= {f"sub_{i}_ksp_{name}": value for name, value in step.items()}
    else:
        form = "a PC in Python"
        beside[f"{PYTHON_PC}.py"] = _PYTHON_PC
        remarks.append(_PETSC_PYTHON)
        options = {"ksp_type": "richardson", **once, "pc_type": "python"}
        options["pc_python_type"] = f"{PYTHON_PC}.Polynomial"
        options["pc_polynomial_steps"] = ",".join(f"{w!r},{k!r}" for w, k in given.steps)
    head = given.head("Options for PETSc: -options_file THIS_FILE", *remarks)
    lines = [f"-{ON_LEVELS}{name} {value}\n" for name, value in options.items()]
    return Export("petsc", commented(head) + "".join(lines), form, MappingProxyType(beside))
