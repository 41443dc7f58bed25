"""A polynomial in calls of hypre's BoomerAMG."""

from __future__ import annotations

from textwrap import indent

from mgtheory.export.conversion import Export, Given, kind

HYPRE_ORDERS = 4

_HYPRE = (
    "hypre takes no eigenvalues: on each level it estimates the largest and the smallest one by 10"
    " steps of CG, and damps from smallest + fraction (1.1 largest - smallest) to 1.1 largest. That"
    " is [{a:.6g}, {b:.6g}], for which the polynomial was made, where the estimates are"
    " {estimate:.4g} and about 0, and another interval where they are not."
)


def hypre(given: Given) -> Export:
    """Calls in C, for the first kind of Chebyshev up to degree 4."""
    own = kind(given.q, "chebyshev")  # of degree 1 every polynomial is one
    if own is None or own.name != "first" or given.q.degree > HYPRE_ORDERS:
        raise ValueError(
            f"hypre's relaxation 16 is Chebyshev of the first kind, of degree 1 to {HYPRE_ORDERS};"
            f" this polynomial, {given.called}, is none: derive --family chebyshev, or export to"
            " petsc or pyamg"
        )
    calls = {
        "RelaxType": "16",
        "NumSweeps": "1",
        "ChebyOrder": str(given.q.degree),
        "ChebyFraction": repr(own.lower / own.upper),
        "ChebyVariant": "0",
        "ChebyScale": "1",
        "ChebyEigEst": "10",
    }
    remark = _HYPRE.format(a=own.lower, b=own.upper, estimate=own.upper / 1.1)
    head = given.head("Chebyshev smoothing in hypre's BoomerAMG", remark)
    head = indent(head, " * ", lambda _: True)
    lines = [f"HYPRE_BoomerAMGSet{name}(solver, {value});\n" for name, value in calls.items()]
    text = "/*\n" + head.replace("*/", "* /").replace(" * \n", " *\n") + "\n */\n" + "".join(lines)
    return Export("hypre", text, f"relaxation 16 of order {given.q.degree}")
