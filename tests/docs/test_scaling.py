"""The page on scaling: its tables are what its command prints, from numbers that stand where they
were measured."""

import doctest
import json
from pathlib import Path
from statistics import median

import pytest
import torch

import nets
from docs import scaling
from nets.models.cost import count_parameters

ROOT = Path(__file__).resolve().parents[2]


def test_tables_are_what_the_command_prints():
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    for table in "\n".join(scaling.model()).split("\n\n"):
        assert table in page, table


def test_numbers_are_those_of_their_sources():
    with torch.device("meta"):
        assert count_parameters(nets.create_model("q2")) == scaling.WEIGHTS
    results = (ROOT / "benchmarks" / "results" / "train-h200.md").read_text(encoding="utf-8")
    assert "9.06       1.00" in results
    assert "67,600 images/s" in results
    rows = (ROOT / "studies" / "rows" / "starts-digits.jsonl").read_text().splitlines()[:254]
    seconds = [json.loads(row).get("seconds") for row in rows]
    assert median(filter(None, seconds)) == pytest.approx(scaling.RUN, abs=0.1)
    assert "2047:    12.56 ns" in (ROOT / "benchmarks/results/solve-cpu.md").read_text()


def test_models():
    """A ring of two sends each half twice; a line goes through its points; a tenth is a tenth."""
    link = "Ethernet 10 Gbit/s"
    rate, latency = scaling.LINKS[link]
    assert scaling.ring(8e6, 2, link) == pytest.approx(8e6 / rate + 2 * latency)
    for images, seconds in scaling.STEPS:
        assert scaling.step_time(images) == pytest.approx(seconds)
    total = scaling.ring(4 * scaling.WEIGHTS, 8, link)
    images = scaling.fewest(total, 0.1)
    parts = [total / (total + scaling.step_time(n)) for n in (images - 1, images)]
    assert parts[1] <= 0.1 < parts[0]
    # each of three levels of 8 x 8 has 2 k + 1 products, 4 messages each
    rate, latency = scaling.NETWORK
    faces = [8 / 2, 4 / 2, 2 / 2]
    sent = sum(n * 4 * (latency + 8 * face / rate) for n, face in zip((5, 7, 9), faces))
    assert scaling.exchange(8, 2, 4) == pytest.approx(4 * sent)
    assert scaling.study_time(90, 10.0, 1) == pytest.approx(905)
    assert scaling.study_time(90, 10.0, 4) == pytest.approx(10 + 230)
    assert scaling.study_time(90, 10.0, 45, slurm=True) == pytest.approx(5 + 2 * 30)


def test_examples_print_what_is_shown():
    pytest.importorskip("pyamg")
    page = str(ROOT / "docs" / "scaling.md")
    assert doctest.testfile(page, module_relative=False).failed == 0
