"""What is given on the command line is what the library is called with: no option is taken and
dropped on the way."""

import pytest
import scipy.sparse as sp

import mgtheory
import nets
from mgtheory import fourier, solving
from nets.models import cost
from polymgnet import backends


def problem_of(args):
    return f"{args.name} {args.shape} {args.boundary}"


# command -> what is called, and of its arguments what must be as given
CASES = {
    "compare-smoothers --problem poisson3d --n 15 --boundary periodic --family mls --degrees 2,4-5"
    " --pre 2 --post 0 --coarsening galerkin --axes zx --cycle W --backend stencil --repeats 7": (
        (mgtheory.comparison, "compare_smoothers"),
        lambda problem, **given: (problem_of(problem), given),
        (
            "poisson3d (15, 15, 15) periodic",
            {
                **{"families": ["mls"], "degrees": [2, 4, 5], "pre": 2, "post": 0, "repeats": 7},
                **{"coarsening": "galerkin", "axes": (0, 2), "cycle": "W", "coarsest": 4096},
            },
        ),
    ),
    "compare-smoothers": (
        (mgtheory.comparison, "compare_smoothers"),
        lambda problem, **given: (problem_of(problem), given),
        (
            "poisson2d (255, 255) dirichlet",
            {
                **{"families": list(mgtheory.FAMILIES), "degrees": [1, 2, 3, 4], "repeats": 3},
                **{"pre": 1, "post": 1, "coarsening": None, "axes": "auto", "cycle": "V"},
                **{"coarsest": 64},
            },
        ),
    ),
    "solve --problem anisotropic2d --n 31 --family chebyshev4 --degree 3 --cycle W --pre 2 --post 0"
    " --coarsening galerkin --axes y --max-levels 3 --krylov gmres": (
        (backends, "build"),
        lambda backend, cycle, problem, **given: ((backend, cycle, problem_of(problem)), given),
        (
            ("sparse", "W", "anisotropic2d (31, 31) dirichlet"),
            {"pre": 2, "post": 0, "coarsening": "galerkin", "axes": (1,), "max_levels": 3}
            | {"shift": False, "degree": None},
        ),
    ),
    "solve --n 31 --degree 4 --boundary neumann": (
        (backends, "build"),
        lambda backend, cycle, problem, **given: ((cycle, problem_of(problem)), given),
        (
            ("FMG", "poisson2d (31, 31) neumann"),
            {"degree": 4, "smoother": None, "shift": solving.FASTEST["shift"], "axes": "auto"},
        ),
    ),
    "solve --n 31 --tol 1e-3 --atol 1e-4 --maxiter 7 --krylov minres": (
        (solving, "solve"),
        lambda problem, hierarchy, **given: (problem_of(problem), given),
        (
            "poisson2d (31, 31) dirichlet",
            {"tol": 1e-3, "atol": 1e-4, "maxiter": 7, "krylov": "minres", "cycle": "V"},
        ),
    ),
    "lfa --problem poisson3d --n 8 --family chebyshev --degree 2 --pre 2 --post 0 --cycle W"
    " --restriction half --coarsening galerkin --axes yz": (
        (fourier, "three_grid_factor"),
        lambda problem, q, **given: (problem_of(problem), given),
        (
            "poisson3d (8, 8, 8) periodic",
            {"pre": 2, "post": 0, "cycle": "W", "restriction": "half", "coarsening": "galerkin"}
            | {"axes": (1, 2)},
        ),
    ),
    "derive --family chebyshev --degree 3 --problem jump2d --n 7 --boundary neumann --axes x"
    " --scaling identity --amplification 4": (
        (mgtheory, "derive"),
        lambda family, degree, record, **given: (
            (family, degree, record.name, record.axes, record.scaling),
            given,
        ),
        (
            ("chebyshev", 3, "jump2d, 7 x 7, neumann", (0,), "identity"),
            {"amplification": 4.0},
        ),
    ),
    "derive --family mls --degree 4": (
        (mgtheory, "derive"),
        lambda family, degree, record, **given: (record.name, given),
        ("poisson2d, 63 x 63, dirichlet", {"amplification": None}),
    ),
    # a matrix of the sides that are said
    "derive --family chebyshev4 --degree 2 --matrix MATRIX --shape 8x8 --boundary neumann": (
        (mgtheory, "derive"),
        lambda family, degree, record, **given: ((record.grid, record.padding), given),
        (((8, 8), "neumann"), {}),
    ),
    "solve --matrix MATRIX --shape 8x8 --boundary neumann": (
        (backends, "build"),
        lambda backend, cycle, A, **given: (A.shape, given),
        ((64, 64), {"shape": (8, 8), "boundary": "neumann"}),
    ),
    "export INIT --to petsc --out OUT --lmax 3 --scaling diagonal": (
        (mgtheory.InitialCoefficients, "export"),
        lambda start, to, **given: ((start.family, to), given),
        (("chebyshev4", "petsc"), {"lmax": 3.0, "scaling": "diagonal"}),
    ),
    "models q2 --size 20 --channels 1 --classes 7 --width 8 --levels 3": (
        (cost, "count_flops"),
        lambda model, shape: ((shape, model.spec.overrides), {}),
        (
            (
                (1, 20, 20),
                {"in_channels": 1, "num_classes": 7, "width": 8, "levels": 3},
            ),
            {},
        ),
    ),
    # the options of a recipe are those of its scheme, which weights of their own take out
    "train --out OUT --config CONFIG --from q2-digits": (
        (nets, "train"),
        lambda config, out, **given: (
            (config.init.scheme, config.init.options, config.init.operator),
            given,
        ),
        (("none", {}, "keep"), {}),
    ),
    "train --out OUT --config CONFIG --from q2-digits --init constant": (
        (nets, "train"),
        lambda config, out, **given: (
            (config.init.scheme, config.init.options, config.init.operator),
            given,
        ),
        (("constant", {"value": 2.0}, "keep"), {}),
    ),
    # what is set by its key comes last
    "train --out OUT --data mnist --init chebyshev4 --set init=constant --set seed=3": (
        (nets, "train"),
        lambda config, out, **given: (
            (config.data.name, config.init.scheme, config.train.seed),
            given,
        ),
        (("mnist", "constant", 3), {"resume": False, "force": False, "progress": True}),
    ),
}


@pytest.mark.parametrize("command", CASES, ids=lambda command: command.split()[0])
def test_options_reach_what_they_are_for(command, refused, monkeypatch, tmp_path):
    (home, name), look, (expected, options) = CASES[command]
    init = tmp_path / "init.json"
    mgtheory.derive("chebyshev4", 2, 2.0).save(init)
    matrix = tmp_path / "A.npz"
    sp.save_npz(matrix, mgtheory.poisson((8, 8), boundary="neumann").A)
    seen = []

    def spy(*args, **given):
        seen.append(look(*args, **given))
        raise ValueError("seen and ended")

    monkeypatch.setattr(home, name, spy)
    config = tmp_path / "config.json"
    config.write_text('{"init": {"scheme": "constant", "options": {"value": 2.0}}}')
    places = {"INIT": init, "MATRIX": matrix, "CONFIG": config, "OUT": tmp_path / "out"}
    assert "seen and ended" in refused(*(places.get(word, word) for word in command.split()))
    ((found, given),) = seen
    assert found == expected
    assert {key: given[key] for key in options} == options
