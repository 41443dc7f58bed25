"""A small network, started."""

import pytest
import torch

import nets


@pytest.fixture(scope="session")
def started():
    """started(name, scheme, ...) -> the model and the report of its start."""
    return _started


def _started(name="q2", scheme="chebyshev4", *, seed=0, model_options=None, **options):
    model = nets.create_model(
        name,
        generator=torch.Generator().manual_seed(seed),
        **({"width": 4, "levels": 2} | (model_options or {})),
    )
    return model, nets.initialise(
        model,
        scheme,
        **({"size": (8, 8), "generator": torch.Generator().manual_seed(seed)} | options),
    )
