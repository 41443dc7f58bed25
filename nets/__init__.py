"""Networks whose blocks are multigrid smoothing steps: Poly-MgNet, MgNet, ResNet, their start from
theory, and their training.

Models: `models` (the registry), `polymgnet`, `mgnet`, `resnet`, made of `blocks` (steps and
levels), `coefficients`, `placements` and `norms`; `spec` rebuilds them, `published` reads the
authors' checkpoints. Start: `initialise`, `schemes` (coefficients), `operators` (A and its
spectrum). Data: `data` (sources), `readers`, `archives`, `cache`, `augment`, `policies`, `counter`
(random numbers by address). Training: `train` (one call), `sections` (the settings), `config`
(their files), `loop` (a run), `trainer` (a step), `epochs`, `optim`, `capture` and `fusion` (speed
on a GPU), `checkpoint`, `runs` (the folder). After it: `predict`. The bridge to PDEs: `cycle`,
`learn`.
"""

from nets.config import list_recipes, load_config
from nets.data.sources import load_data
from nets.models.polymgnet import coefficient_parameters, operator_products
from nets.models.published import from_published_state
from nets.models.registry import (
    count_parameters,
    create_model,
    is_multigrid,
    list_models,
    reset_weights,
)
from nets.models.spec import ModelSpec
from nets.pde.cycle import MultigridCycle
from nets.pde.learn import LearnedSmoother, learn_smoother
from nets.settings import TrainConfig
from nets.start.initialise import InitReport, LevelReport, initialise, list_schemes, roots_at_guard
from nets.training.checkpoint import load_model, save_model
from nets.training.folder import Summary, load, read_config, read_summary
from nets.training.predict import Classifier, load_classifier
from nets.training.train import check_start, is_first_rank, train

__all__ = [
    "Classifier",
    "InitReport",
    "LearnedSmoother",
    "LevelReport",
    "ModelSpec",
    "MultigridCycle",
    "Summary",
    "TrainConfig",
    "check_start",
    "coefficient_parameters",
    "count_parameters",
    "create_model",
    "from_published_state",
    "initialise",
    "is_first_rank",
    "is_multigrid",
    "learn_smoother",
    "list_models",
    "list_recipes",
    "list_schemes",
    "load",
    "load_classifier",
    "load_config",
    "load_data",
    "load_model",
    "operator_products",
    "read_config",
    "read_summary",
    "reset_weights",
    "roots_at_guard",
    "save_model",
    "train",
]
