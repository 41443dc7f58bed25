"""Networks whose blocks are multigrid smoothing steps: Poly-MgNet, MgNet, ResNet, their start from theory, and their training."""

from nets.models import count_parameters, create_model, is_multigrid, list_models, reset_weights
from nets.polymgnet import coefficient_parameters, operator_products
from nets.spec import ModelSpec

__all__ = [
    "ModelSpec",
    "coefficient_parameters",
    "count_parameters",
    "create_model",
    "is_multigrid",
    "list_models",
    "operator_products",
    "reset_weights",
]
