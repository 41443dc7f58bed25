"""How much a level amplifies as it really is: with its norms and activations, on a batch of images.

A level maps its first features u_0 at fixed data f = g + A u_0 to the features u at its end. With
neither norm nor activation du/du_0 = q(A), whatever f and u_0 are; else

    J(u_0) = du/du_0 at fixed f,     |J|_2 = max over v of |J v|_2 / |v|_2,

the largest singular value of J, at the features that the images have there. It is that of all
images together: in training mode a batch norm couples them. For a normal A and q(A) itself it is
max |q| over the spectrum; in general it is larger than max |q| for q(A), whose norm it is.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor, nn

from nets.defaults import own_defaults
from nets.models.blocks import Level

TOLERANCE = 1e-3  # of the singular value, relative


@own_defaults()
def jacobian_norms(model: nn.Module, images: Tensor) -> list[float]:
    """|J|_2 of every level, in the order in which they are computed.

    Parameters
    ----------
    model
        With levels: of `create_model`, or any network with a `PolynomialBlock`. Its norms take the
        batch's statistics in training mode, else the running ones; it is left as it is.
    images
        A batch as the model takes it.

    Returns
    -------
    list of float
        Of each level, relative error 1e-3, by Lanczos' method on J^T J with one product with J and
        one with its transpose a step, in double precision.
    """
    twin = copy.deepcopy(model).double().requires_grad_(False)
    seen: list[tuple[Level, Tensor, Tensor | None]] = []
    levels = [module for module in twin.modules() if isinstance(module, Level)]
    handles = [
        level.register_forward_pre_hook(lambda module, given: seen.append((module, *given)))
        for level in levels
    ]
    with torch.no_grad():
        twin(images.double())
    for handle in handles:  # the Jacobians call the levels too
        handle.remove()
    return [_norm_of_jacobian(level, g, u0) for level, g, u0 in seen]


def _norm_of_jacobian(level: Level, g: Tensor, u0: Tensor | None) -> float:
    u = (torch.zeros_like(g) if u0 is None else u0).detach().requires_grad_()
    f = (g + level.A(u)).detach()
    with torch.enable_grad():
        end = level(f - level.A(u), u)[0]
        w = torch.zeros_like(end, requires_grad=True)
        # J^T w, which is linear in w: its transpose is J, without another pass through the level
        (pulled,) = torch.autograd.grad(end, u, w, create_graph=True)

    def tensor(v: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(v).reshape(u.shape).to(u.device)

    def product(v: NDArray[np.float64]) -> NDArray[np.float64]:
        (moved,) = torch.autograd.grad(pulled, w, tensor(v), retain_graph=True)
        return np.asarray(moved.cpu().numpy().ravel())

    def transposed(v: NDArray[np.float64]) -> NDArray[np.float64]:
        (moved,) = torch.autograd.grad(end, u, tensor(v), retain_graph=True)
        return np.asarray(moved.cpu().numpy().ravel())

    J = LinearOperator((u.numel(),) * 2, matvec=product, rmatvec=transposed, dtype=np.float64)
    v0 = np.random.default_rng(0).standard_normal(u.numel())
    if not product(v0).any():  # J = 0: the method has nothing to start from
        return 0.0
    return float(svds(J, k=1, tol=TOLERANCE, v0=v0, return_singular_vectors=False)[0])
