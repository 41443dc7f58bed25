"""A run folder with planted truth: a Laplacian per channel, neutral batch norms and known roots,
without any training."""

import json

import numpy as np
import pytest
import torch

import nets
from mgtheory.polynomials.factors import Linear
from nets.training.checkpoint import save_model
from nets.training.folder import Summary, write_metrics

LAPLACIAN = np.array([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])
SIZE = (8, 8)


def planted_model(weights, *, placement="relu_outside_nobn", channels=(3, 3)):
    """Two levels; weights[l] are those of the linear steps of level l."""
    model = nets.create_model(
        "q2",
        factors=[["linear"] * len(own) for own in weights],
        channels=channels,
        placement=placement,
        in_channels=1,
        generator=torch.Generator().manual_seed(0),
    ).double()
    for level, own in zip(model.levels, weights):
        with torch.no_grad():
            level.A.weight.zero_()
            for c in range(level.A.out_channels):
                level.A.weight[c, c] = torch.tensor(LAPLACIAN)
        for step, w in zip(level.steps, own):
            step.coefficients.set_factor(Linear(w))
    return model


def write_run(
    folder, start, learned, *, scheme="constant", seed=0, sources=(), accuracy=0.9, size=SIZE
):
    """The run folder of a model that was started and trained, as `nets.train` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = start.spec
    sets = [f"init.scheme={scheme}", f"seed={seed}", "train.accelerator=cpu"]
    config = nets.load_config("q2", sets).to_dict()
    config["model"] = {**config["model"], "name": spec.name, "options": dict(spec.overrides)}
    (folder / "config.json").write_text(json.dumps(config))
    report = nets.initialise(start, "none", operator="keep", size=size).to_dict()
    report["sources"] = [source.to_dict() for source in sources]
    report["source"] = report["sources"][0] if sources else None
    report["scheme"] = scheme
    (folder / "init.json").write_text(json.dumps(report))
    save_model(folder / "start.safetensors", start)
    save_model(folder / "model.safetensors", learned)
    write_metrics(
        folder / "metrics.csv",
        [{"epoch": k, "train_loss": 2.0 / k, "val_accuracy": 0.8 + 0.01 * k} for k in (1, 2, 3)],
    )
    summary = Summary(
        True,
        100,
        3,
        test_accuracy=accuracy,
        val_accuracy=0.83,
        seconds=1.5,
        model=spec.name,
        data="digits",
        seed=seed,
    )
    (folder / "summary.json").write_text(json.dumps(summary.to_dict()))
    return folder


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """Level 1: one step with root 5 (mu = 0.6); level 2: two of them (mu = 0.36); at the start and
    learned."""
    weights = [[0.2], [0.2, 0.2]]
    return write_run(
        tmp_path_factory.mktemp("runs") / "planted", planted_model(weights), planted_model(weights)
    )
