"""One axes in the paper's style, and short real runs to draw."""

import pytest
from matplotlib.axes import Axes

import nets
from figures import style
from figures.style import figure, paper

SETS = ["data=digits", "epochs=1", "train.accelerator=cpu", "train.tensorboard=false", "levels=2"]
RUNS = {
    "theory": (
        "q2",
        [
            "width=4",
            "placement=relu_outside_nobn",
            "init.scheme=chebyshev4",
            "init.operator=laplacian",
        ],
    ),
    "regular": ("q2", ["width=4", "placement=regular", "init.scheme=xavier"]),
    "mgnet": ("mgnet", ["width=4", "init.scheme=none"]),
    "resnet": ("resnet20", ["width=4", "init.scheme=none"]),
}


@pytest.fixture(autouse=True)
def coarse_pictures(monkeypatch):
    """Fewer pixels than on paper, and letters that are drawn, not embedded as parts of a font, to
    save time; layout and data are the same."""
    monkeypatch.setitem(style._RC, "savefig.dpi", 72)
    monkeypatch.setitem(style._RC, "pdf.fonttype", 3)


@pytest.fixture
def ax():
    with paper():
        made, axes = figure()
        assert isinstance(axes[0, 0], Axes)
        yield axes[0, 0]
        made.canvas.draw()  # whatever was drawn can be rendered


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Run folders by name; one epoch on the digits each."""
    folder = tmp_path_factory.mktemp("runs")
    for name, (model, sets) in RUNS.items():
        nets.train(nets.load_config(model, [*SETS, *sets]), folder / name, progress=False)
    return {name: folder / name for name in RUNS}
