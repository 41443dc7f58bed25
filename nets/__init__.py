"""Networks whose blocks are multigrid smoothing steps: Poly-MgNet, MgNet and, to compare with,
ResNets; their start from theory, their training, and the multigrid cycle as a torch module.

`models` are the networks as their formulas are, `start` their coefficients and operators from
theory, `data` images and their order, `fast` how they are computed fast, `training` runs from a
configuration to a folder, `pde` the way back to differential equations. `settings` are the options
of a run, `config` reads them. Begin with `models.blocks`, the smoothing step, and
`start.initialise`.
"""

from nets.config import load_config
from nets.data.sources import load_data
from nets.models.create import create_model
from nets.models.registry import list_models, register_model
from nets.pde.cycle import MultigridCycle
from nets.pde.device import DeviceHierarchy
from nets.pde.learn import learn_smoother
from nets.settings import TrainConfig
from nets.start.block import PolynomialBlock
from nets.start.initialise import initialise
from nets.training.folder import load
from nets.training.predict import Classifier, load_classifier
from nets.training.train import train

__all__ = [
    "Classifier",
    "DeviceHierarchy",
    "MultigridCycle",
    "PolynomialBlock",
    "TrainConfig",
    "create_model",
    "initialise",
    "learn_smoother",
    "list_models",
    "load",
    "load_classifier",
    "load_config",
    "load_data",
    "register_model",
    "train",
]
