"""A polynomial as a Python file that smooths a hierarchy of PyAMG."""

from __future__ import annotations

import json

from mgtheory.export.conversion import Export, Given, commented, kind

_PYAMG_CHEBYSHEV = (
    "PyAMG applies it to A, not D^-1 A, and takes the bounds times its own estimate of the largest"
    " eigenvalue of A on each level, found in some steps from a random start: the interval is that"
    " above up to this estimate. `attach` takes lmax from here."
)

_PYAMG_ATTACH = '''STEPS = {steps}


def attach(ml, lmax={lmax!r}):
    """Smooth every level of a hierarchy but the coarsest by q; lmax bounds D^-1 A there, None takes
    PyAMG's estimate of it on each level."""
    for level in ml.levels[:-1]:
        level.presmoother = level.postsmoother = smoother_of(level.A, lmax)
    ml.symmetric_smoothing = True
    return ml


def smoother_of(A, lmax={lmax!r}):
    """The function smooth(A, x, b), in place, of a matrix."""
    inverse = 1.0 / A.diagonal()
    stretch = {lmax!r} / (rho_D_inv_A(A.tocsr()) if lmax is None else lmax)

    def smooth(A, x, b):
        D = inverse.reshape(-1, *(1,) * (x.ndim - 1))
        for w, k in STEPS:
            s = D * (b - A @ x)
            x += stretch * (w * s - stretch * k * (D * (A @ s)) if k else w * s)

    return smooth
'''


def pyamg(given: Given) -> Export:
    """Any polynomial as a function, and as PyAMG's tuple where it has one."""
    own, steps = kind(given.q, "chebyshev"), given.steps
    remarks, tuple_ = ["attach(ml) smooths a hierarchy of PyAMG by q of D^-1 A, exactly."], ""
    if own is not None and (own.name == "equal" or len(steps) == 1):
        jacobi = f'{{"omega": {steps[0][0]!r}, "iterations": {len(steps)}, "withrho": False}}'
        tuple_ = f'SMOOTHER = ("jacobi", {jacobi})\n'
        remarks.append("SMOOTHER is for presmoother= and postsmoother=, and the same.")
    elif own is not None and own.name == "first":
        a, b = own.lower / given.upper, own.upper / given.upper
        bounds = {"lower_bound": a, "upper_bound": b, "degree": given.q.degree}
        tuple_ = f'SMOOTHER = ("chebyshev", {json.dumps(bounds)})\n'
        remarks.append(f"SMOOTHER is for presmoother= and postsmoother=. {_PYAMG_CHEBYSHEV}")
    else:
        remarks.append(
            "PyAMG has no tuple for it: its polynomials are Chebyshev of the first kind alone."
        )
    head = given.head("Smoothing in PyAMG", *remarks)
    lines = ",\n".join(f"    ({w!r}, {k!r})" for w, k in steps)
    body = _PYAMG_ATTACH.format(
        steps=f"(  # (w, k): c = (w - k D^-1 A) D^-1 r\n{lines},\n)", lmax=given.upper
    )
    text = (
        f"{commented(head)}\nfrom pyamg.relaxation.smoothing import rho_D_inv_A\n\n{tuple_}{body}"
    )
    form = (
        f"the tuple {tuple_.split('(')[1].split(',')[0]} and a function" if tuple_ else "a function"
    )
    return Export("pyamg", text, form)
