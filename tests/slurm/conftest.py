"""The tests of this folder start a cluster and take minutes: `make test-slurm` alone runs them."""

import os

import pytest

collect_ignore_glob = [] if os.environ.get("TEST_SLURM") else ["*.py"]


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    from tests.slurm.cluster import Cluster, missing

    if why := missing():
        pytest.skip(why)
    with Cluster(tmp_path_factory.mktemp("slurm")) as found:
        yield found


@pytest.fixture
def cluster(running, monkeypatch):
    """The cluster, for the commands of this process too; no job outlives its test."""
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    yield running
    running.say("scancel", "--user=root")
    running.wait_for(lambda: not running.say("squeue", "--noheader").strip())
