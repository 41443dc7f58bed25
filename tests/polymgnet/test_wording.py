"""What the library says in its keywords, the command says in its options."""

import re

import numpy as np
import pytest
import scipy.sparse as sp

import nets
from mgtheory import derive
from mgtheory.families import NEEDS
from mgtheory.problems import create
from polymgnet.wording import counted, worded


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("take coarsening='galerkin' or axes='all'", "take --coarsening galerkin or --axes all"),
        ("axes (0,) here; coarsen axes=(0, 2)", "axes x here; coarsen --axes xz"),
        ("axis 1: 100 points, or limit max_levels", "axis y: 100 points, or limit --max-levels"),
        ("solve with max_levels=1", "solve with --max-levels 1"),
        ("krylov='cg', or backend 'sparse', which", "--krylov cg, or --backend sparse, which"),
        ("mgtheory.Hierarchy has others (backend 'sparse')", "--backend sparse has others"),
        ("train.axes=(0,) and --scaling diagonal", "train.axes=(0,) and --scaling diagonal"),
        ("a block needs 4 axes, cycle V(1,1)", "a block needs 4 axes, cycle V(1,1)"),
        ("axis 0, 12 points; axes 3", "axis x, 12 points; axes 3"),
        *(
            (mine, mine)
            for mine in (
                "/runs/axes=0/config.json: no such file",
                "'axes=0' is no folder, nor is axes=(0)/run",
                "boundary=left.csv, my max_levels.json and axis 0.npz are not there",
            )
        ),
    ],
)
def test_keywords_are_options_and_axes_letters(said, words):
    assert worded(said) == words


@pytest.mark.parametrize("need", NEEDS)
def test_what_a_family_needs_is_told_in_options(need):
    said = worded(f"family x cannot be derived from this, it needs {NEEDS[need].sources}")
    assert "it needs " in said
    assert "--" in said
    assert not re.search("Problem|Stencil|Interval|LinearOperator", said)


def test_refusals_and_warnings_of_commands_name_their_options(run, refused, tmp_path):
    start = tmp_path / "weak.json"
    derive("chebyshev", 2, create("anisotropic2d", 15)).save(start)
    weak = ("--problem", "anisotropic2d", "--n", 31, "--axes", "all", "--init", start)
    for command in ("solve", "lfa"):
        assert "coarsen those with --axes x\n" in refused(command, *weak)
    file = tmp_path / "neumann.npz"
    sp.save_npz(file, sp.csr_matrix(create("poisson2d", 16, boundary="neumann").A))
    mine = ("--matrix", file, "--shape", "16x16", "--boundary", "dirichlet")
    for words in (
        ("solve", *mine, "--rhs", tmp_path / "b.npy"),
        ("derive", "--family", "chebyshev", "--degree", 2, *mine),
        ("compare-smoothers", "--family", "chebyshev", "--degrees", 1, "--repeats", 1, *mine),
    ):
        np.save(tmp_path / "b.npy", np.linspace(-1.0, 1.0, 256))
        for form in ((), ("--json",)):
            said = run(*words, *form).out
            assert "(axes x, y): this looks like Neumann" in said
            assert "give --boundary neumann" in said
    line = refused("solve", "--n", 31, "--smoother", "red-black", "--backend", "stencil")
    assert "got red_black; --backend sparse has others" in line


def test_one_thing_stands_in_the_singular():
    assert [counted(n, "run") for n in (0, 1, 1797)] == ["0 runs", "1 run", "1,797 runs"]


def test_messages_about_one_thing():
    """No message counts "1 channels" or "1 threads": here those of a network of one level."""
    model = nets.create_model("q2", width=2, levels=1, in_channels=1)
    assert "1 level, b" in repr(nets.initialise(model, size=(8, 8)))
    data = nets.load_data("digits")
    with pytest.raises(ValueError, match=r"digits has 1 channel$"):
        data.normalisation((0.5, 0.5), (0.1, 0.1))
