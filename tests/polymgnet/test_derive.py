"""derive: the numbers of theory, points, scalings, and files that name what they are for."""

import re

import numpy as np
import pytest
import scipy.sparse

import mgtheory
from mgtheory import problems
from mgtheory.families import FAMILIES, NEEDS
from polymgnet.wording import worded


def test_derive_chebyshev(document):
    """The oracle on [1, 2], k = 3: ascending coefficients of q are [1, -2.12121212, 1.45454545,
    -0.32323232]."""
    data = document("derive", "--family", "chebyshev", "--degree", 3, "--interval", 1, 2)
    roots = np.array([complex(*pair) for pair in data["roots"]])
    q = np.poly1d(np.poly(1 / roots)).coef.real  # prod (s - 1/r), descending in s = ascending in t
    np.testing.assert_allclose(q, [1, -2.12121212, 1.45454545, -0.32323232], atol=1e-8)
    weights = np.array([complex(*pair) for pair in data["weights"]])
    np.testing.assert_allclose(weights * roots, 1, rtol=1e-14)
    assert (data["family"], data["degree"], data["interval"]) == ("chebyshev", 3, [1.0, 2.0])


def test_derive_gamma_of_the_fourth_kind(document):
    """1/gamma = (4/3) k (k + 1)."""
    assert document("derive", "--family", "chebyshev4", "--degree", 3, "--lmax", 8)[
        "gamma"
    ] == pytest.approx(1 / 16, rel=1e-9)


def test_derive_defaults_to_poisson2d(document):
    data = document("derive", "--family", "chebyshev4", "--degree", 2)
    assert data["operator"]["name"] == "poisson2d, 63 x 63, dirichlet"
    assert (data["operator"]["scaling"], data["operator"]["axes"]) == ("identity", [0, 1])
    # the end of the symbol; the 63 x 63 grid's own largest eigenvalue is 0.06 % below it
    assert data["interval"][1] == pytest.approx(8 * 64**2, rel=1e-12)


def test_derive_writes_what_load_reads(run, refused, tmp_path):
    path = tmp_path / "init.json"
    assert run("derive", "--family", "chebyshev4_opt", "--degree", 3, "--out", path).status == 0
    before = path.read_bytes()
    assert mgtheory.InitialCoefficients.load(path).family == "chebyshev4_opt"
    assert "--force" in refused("derive", "--family", "chebyshev", "--degree", 2, "--out", path)
    assert path.read_bytes() == before
    assert (
        run("derive", "--family", "chebyshev", "--degree", 2, "--out", path, "--force").status == 0
    )
    assert mgtheory.InitialCoefficients.load(path).family == "chebyshev"


def test_derive_from_points(document, tmp_path):
    """The best q of degree 1 on the circle |z - 2| = 1 has the root 2 and the maximum 1/2."""
    angles = 2 * np.pi * np.arange(48) / 48
    path = tmp_path / "circle.csv"
    np.savetxt(path, np.column_stack([2 + np.cos(angles), np.sin(angles)]), delimiter=",")
    data = document("derive", "--family", "minimax", "--degree", 1, "--points", path)
    assert complex(*data["roots"][0]) == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize(
    "write",
    [
        lambda path, z: np.save(path.with_suffix(".npy"), z) or path.with_suffix(".npy"),
        lambda path, z: np.savetxt(path, z) or path,  # " (1.0e+00+2.0e+00j)", one to a line
        lambda path, z: path.write_text("\n".join(f"{v:.17g}" for v in z)) and path,  # 1+2j
    ],
)
def test_points_as_numpy_writes_them(document, tmp_path, write):
    z = 3 + np.array([1, 1j, -1, -1j, 0.5 + 0.25j])
    words = ("derive", "--family", "minimax", "--degree", 2, "--points")
    columns = tmp_path / "columns.txt"
    np.savetxt(columns, np.column_stack([z.real, z.imag]))
    found, twin = (document(*words, path) for path in (write(tmp_path / "z.txt", z), columns))
    assert found["roots"] == twin["roots"]
    assert found["points"] == twin["points"]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.ones((3, 2)), r"shape \(3, 2\).*one axis"),
        (np.array(["1"]), "numbers, with one axis"),
        (np.array([]), "shape \\(0,\\)"),
        (np.array([1.0, np.nan]), "not finite"),
        (np.array([None]), "cannot be read"),
    ],
)
def test_an_array_that_holds_no_points_is_refused(refused, tmp_path, array, said):
    path = tmp_path / "z.npy"
    np.save(path, array)
    assert re.search(
        said, refused("derive", "--family", "minimax", "--degree", 2, "--points", path)
    )


def test_complex_points_have_no_interval_and_no_gamma(run, document, tmp_path):
    """Of 1, 3 and 2 ± i: the set, its largest modulus and max |q|, by hand; gamma and the V-cycle
    bound are for positive definite A."""
    path = tmp_path / "points.txt"
    path.write_text("1 0\n3 0\n2 1\n2 -1\n")
    words = ("derive", "--family", "minimax", "--degree", 1, "--points", path)
    data = document(*words)
    assert data["interval"] is None
    assert data["gamma"] is None
    found = dict(data["points"])
    assert found.pop("largest_q") == pytest.approx(
        max(abs(1 - z / complex(*data["roots"][0])) for z in (1, 3, 2 + 1j, 2 - 1j))
    )
    assert found == {"count": 4, "real": [1, 3], "imaginary": [-1, 1], "largest_modulus": 3}
    out = run(*words).out
    assert "4 points, real parts 1 to 3, imaginary parts -1 to 1, moduli up to 3" in out
    assert "max |q|" in out
    assert "gamma" not in out


@pytest.mark.parametrize(("text", "definite"), [("1\n2\n3\n", True), ("-1\n2\n3\n", False)])
def test_real_points(document, tmp_path, text, definite):
    path = tmp_path / "points.txt"
    path.write_text(text)
    data = document("derive", "--family", "minimax", "--degree", 2, "--points", path)
    assert (data["gamma"] is not None, "points" not in data, data["interval"] == [1, 3]) == (
        definite,
    ) * 3


def test_derive_takes_an_amplification(tmp_path, document):
    path = tmp_path / "points.txt"
    path.write_text("1\n0 1\n0 -1\n-1\n")
    words = ("derive", "--family", "chebyshev4", "--degree", 8, "--points", path)
    data = document(*words, "--amplification", 3)
    assert data["points"]["largest_q"] == pytest.approx(3)
    assert data["provenance"]["options"] == {"amplification": 3.0}
    assert data["provenance"]["result"]["scale"] < 0.1


def test_an_amplification_without_effect_is_said(run):
    """Of a positive spectrum, where max |q| = 1 anyway; around 0 by how much, 1 over the scale."""
    words = ("derive", "--family", "chebyshev4", "--degree", 2, "--amplification", 3)
    assert "stretched   not: |q| is at most 3\n" in run(*words, "--lmax", 8).out


@pytest.mark.parametrize("family", FAMILIES)
def test_a_lower_end_that_is_not_taken_is_said(run, family):
    """Exactly where the polynomial does not change with it."""
    words = ("derive", "--family", family, "--degree", 4, "--interval")
    two, one = (run(*words, lower, 8) for lower in (2, 1))
    if two.status:  # needs more than an interval
        return
    roots = [[line for line in x.out.splitlines() if "roots" in line] for x in (two, one)]
    assert ("takes the upper end alone, not 2\n" in two.out) == (roots[0] == roots[1])
    assert "upper end alone" not in run(*words, 0, 8).out


@pytest.mark.parametrize("family", FAMILIES)
def test_derive_says_what_a_family_needs(run, refused, family, tmp_path):
    """A source that has not what the family needs is refused with both; every other is taken."""
    usable = {
        "interval": {"--interval"},
        "lmax": {"--interval", "--lmax", "--points"},
        "operator": set(),
        "points": {"--interval", "--points"},
        "radius": {"--interval", "--lmax", "--points"},
        "problem": set(),
    }
    needs = FAMILIES[family].needs
    path = tmp_path / "points.txt"
    path.write_text("1\n2\n3\n4\n5\n6\n")
    for option, values in {"--interval": (1, 2), "--lmax": (2,), "--points": (path,)}.items():
        words = ("derive", "--family", family, "--degree", 4, option, *values)
        if option in usable[needs] or (needs == "interval" and option == "--points"):
            assert run(*words).status == 0, words
        else:
            said = refused(*words)
            assert f"{family} cannot be derived from " in said
            assert worded(f"it needs {NEEDS[needs].sources}") in said


def test_derive_takes_the_scaling_that_its_refusals_name(document, run, refused, tmp_path):
    """D^-1 A of the Poisson problem is A h^2/4; an interval is of whichever B is said."""
    words = ("derive", "--family", "chebyshev4", "--degree", 2)
    plain, scaled = (
        document(*words, "--n", 31, "--scaling", kind) for kind in ("identity", "diagonal")
    )
    assert scaled["operator"]["scaling"] == "diagonal"
    quarter = 4 * 32**2
    assert plain["interval"] == pytest.approx([quarter * end for end in scaled["interval"]])
    varying = (*words, "--problem", "variable2d", "--n", 31)
    identity = document(*varying, "--scaling", "identity")["operator"]
    assert (identity["scaling"], identity["upper"] > 1e4) == ("identity", True)
    assert document(*varying)["operator"]["scaling"] == "diagonal"
    for kind in ("identity", "diagonal"):
        shown = "] of D^-1 A, D the diagonal of A" in run(*varying, "--scaling", kind).out
        assert shown == (kind == "diagonal")
    init, out = tmp_path / "init.json", tmp_path / "smoother.petsc"
    document(*words, "--interval", 0.5, 2, "--out", init)
    assert "of which BA is not said" in refused("export", init, "--to", "petsc", "--out", out)
    document(*words, "--interval", 0.5, 2, "--scaling", "diagonal", "--out", init, "--force")
    assert run("export", init, "--to", "petsc", "--out", out).status == 0
    assert "auto, identity, diagonal" in refused(*words, "--scaling", "jacobi")


def test_what_is_derived_for_a_matrix_names_its_file(document, refused, run, tmp_path):
    """Constant or not, with its grid or without: the record, refusals and exported files."""
    words = ("derive", "--family", "chebyshev4", "--degree", 2, "--matrix")
    out, init = tmp_path / "a.petsc", tmp_path / "init.json"
    for name in ("poisson2d", "variable2d"):
        A = problems.create(name, n=15).A
        scipy.sparse.save_npz(path := tmp_path / f"{name}.npz", A)
        for grid, size in ((("--shape", "15x15"), "15 x 15"), ((), "225 rows")):
            given = (*words, path, *grid, "--scaling", "diagonal")
            operator = document(*given, "--out", init, "--force")["operator"]
            assert operator["name"] == f"{name}.npz, {size}"
            assert operator["scaling"] == "diagonal"
            assert operator["upper"] == pytest.approx(2, rel=0.2)
            run("export", init, "--to", "petsc", "--out", out, "--force")
            assert f"# made for    {name}.npz, {size}" in out.read_text()
    line = refused("derive", "--family", "chebyshev", "--degree", 2, "--matrix", path)
    assert "--shape" in line
    assert "variable2d.npz" in line


def test_a_printed_matrix_is_said_to_be_taken_as_symmetric(document, run, tmp_path):
    """With its grid and without; on the page and in the document."""
    A = scipy.sparse.coo_array(1.2345678 * problems.create("poisson2d", n=15).A)
    upper = A.data * np.where(A.row < A.col, 1 + 4e-6, 1)
    A = scipy.sparse.csr_array((upper, (A.row, A.col)), shape=A.shape)
    scipy.sparse.save_npz(path := tmp_path / "A.npz", A)
    words = ("derive", "--family", "chebyshev4", "--degree", 2, "--matrix", path)
    assert "of its norm, and taken as symmetric" in " ".join(run(*words).out.split())
    assert document(*words)["warnings"] == []
    (said,) = document(*words, "--shape", "15x15")["warnings"]
    assert said.endswith("A is taken as symmetric")


def test_no_bound_of_the_v_cycle_is_said_where_a_matrix_has_a_wind(run, tmp_path):
    scipy.sparse.save_npz(path := tmp_path / "A.npz", problems.create("convection2d", n=15).A)
    for grid in ((), ("--shape", "15x15")):
        out = run("derive", "--family", "harmonic_ritz", "--degree", 2, "--matrix", path, *grid).out
        assert "it bounds no V-cycle here" in " ".join(out.split())
        assert "contracts the energy norm" not in out


def test_no_smoother_for_a_v_cycle_is_said(run, document, tmp_path):
    """q is small at 1 to 1.2 and at 8, and large between them."""
    path = tmp_path / "points.txt"
    path.write_text("1\n1.1\n1.2\n8\n")
    words = ("derive", "--family", "minimax", "--degree", 3, "--points", path)
    assert document(*words)["gamma"] == "inf"
    assert "no smoother for a V-cycle" in run(*words).out
    assert "no smoother" not in run("derive", "--family", "chebyshev4", "--degree", 3).out
