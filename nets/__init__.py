"""Networks whose blocks are multigrid smoothing steps: Poly-MgNet, MgNet, ResNet, their start from theory, and their training."""

from nets.initialise import InitReport, LevelReport, initialise, list_schemes, roots_at_guard
from nets.models import count_parameters, create_model, is_multigrid, list_models, reset_weights
from nets.polymgnet import coefficient_parameters, operator_products
from nets.spec import ModelSpec

__all__ = [
    "InitReport",
    "LevelReport",
    "ModelSpec",
    "coefficient_parameters",
    "count_parameters",
    "create_model",
    "initialise",
    "is_multigrid",
    "list_models",
    "list_schemes",
    "operator_products",
    "reset_weights",
    "roots_at_guard",
]
