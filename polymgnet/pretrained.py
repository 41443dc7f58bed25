"""`python -m polymgnet.pretrained RUN NAME --about TEXT --license TEXT`: the weights of a run, with
their card, as files of the package that `create_model(MODEL, pretrained=NAME)` reads.

What is known from the run is taken from it; the rest is said: what the images are and whose.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polymgnet.errors import guarded

MOST = 10**6  # bytes


def card_of(run: Path, name: str, *, about: str, license: str, command: str) -> dict[str, Any]:
    """The card: options, size, classes, moments, images, test accuracy with its 95 % interval,
    seeds, versions, and the scores of `nets.models.pretrained.probe`."""
    import torch

    import nets
    from analysis.stats import fraction_interval
    from nets.models.pretrained import probe
    from nets.training.folder import read_config, read_summary

    config, summary = read_config(run), read_summary(run)
    if not summary.finished or summary.test_accuracy is None:
        raise ValueError(f"{run} is not finished, or has no test images; train it to its end")
    data = json.loads((run / "data.json").read_text(encoding="utf-8"))
    model, env = nets.load(run).eval(), summary.environment
    spec: Any = model.spec
    with torch.inference_mode():
        scores = model(probe(data["shape"]))[0].tolist()
    low, high = fraction_interval(summary.test_accuracy, data["images"]["test"])
    return {
        "model": spec.name,
        "name": name,
        "options": spec.to_dict()["overrides"],
        "about": about,
        "size": data["shape"][1:],
        "classes": data["classes"],
        "mean": data["mean"],
        "std": data["std"],
        "images": data["images"],
        "test_accuracy": summary.test_accuracy,
        "interval": [round(low, 4), round(high, 4)],
        "parameters": summary.parameters,
        "command": command,
        "seed": summary.seed,
        "split_seed": config.data.split_seed,
        "epochs": summary.epochs,
        "trained_with": {key: env[key] for key in ("revision", "python", "torch", "threads")},
        "license": license,
        "probe": [round(score, 5) for score in scores],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the two files; exit status 2 for a wrong value."""
    parser = argparse.ArgumentParser(prog="python -m polymgnet.pretrained", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    for flag in ("--about", "--license", "--command"):
        parser.add_argument(flag, required=True)
    given = parser.parse_args(arguments)

    def work() -> None:
        from nets.models.pretrained import FOLDER

        weights = given.run / "model.safetensors"
        texts = {"about": given.about, "license": given.license, "command": given.command}
        card = card_of(given.run, given.name, **texts)
        if weights.stat().st_size > MOST:
            raise ValueError(f"{weights} has {weights.stat().st_size:,} bytes, at most {MOST:,}")
        place = FOLDER / f"{card['model']}-{card['name']}"
        shutil.copyfile(weights, place.with_name(f"{place.name}.safetensors"))
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in card.items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
        place.with_name(f"{place.name}.json").write_text(text, encoding="utf-8")
        print(place)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
