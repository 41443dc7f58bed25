"""Networks whose blocks are multigrid smoothing steps: Poly-MgNet, MgNet, ResNet, their start from theory, and their training."""

from nets.checkpoint import load_model, save_model
from nets.config import TrainConfig, list_recipes, load_config
from nets.data import load_data
from nets.initialise import InitReport, LevelReport, initialise, list_schemes, roots_at_guard
from nets.models import count_parameters, create_model, is_multigrid, list_models, reset_weights
from nets.polymgnet import coefficient_parameters, operator_products
from nets.runs import Summary, load, read_config, read_summary
from nets.spec import ModelSpec
from nets.train import train

__all__ = [
    "InitReport",
    "LevelReport",
    "ModelSpec",
    "Summary",
    "TrainConfig",
    "coefficient_parameters",
    "count_parameters",
    "create_model",
    "initialise",
    "is_multigrid",
    "list_models",
    "list_recipes",
    "list_schemes",
    "load",
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
