"""What all tests share."""

import os

import pytest

from worldvla.simulation.processes import SAME_ARITHMETIC

# Before any test imports numpy or torch: tests run side by side with workers, each on one core, and compare a simulation
# in their own process with one in a worker.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(SAME_ARITHMETIC)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Return a hub on this machine with a few files, which everything that fetches is told to use."""
    from hub_server import serve, use
    from hub_things import FILES

    with serve(dict(FILES)) as hub:
        use(hub, monkeypatch, tmp_path / "cache")
        yield hub


@pytest.fixture
def store(hub):
    """Return the folder in which what is fetched from it lies."""
    from hub_things import publication

    from worldvla.data.hub import fetching

    return fetching.snapshot(publication())
