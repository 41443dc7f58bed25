"""Exports without Fourier analysis."""

import pytest


@pytest.fixture(autouse=True)
def unpredicted(monkeypatch):
    """Fourier analysis is most of the time of an export, and tested where it is asked for."""
    monkeypatch.setattr("mgtheory.export.conversion.predicted", lambda q: "")
