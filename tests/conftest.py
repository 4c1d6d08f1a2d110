"""What all tests share."""

import contextlib
import os
import signal

import hypothesis
import pytest

from worldvla.arithmetic import SAME_ARITHMETIC

# Before any test imports numpy or torch: tests run side by side with workers, each on one core, and compare a simulation
# in their own process with one in a worker.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(SAME_ARITHMETIC)

# Both it, which torch loads late, and OSMesa bring an LLVM: loaded after a simulation has rendered, it ends the process.
with contextlib.suppress(ImportError):
    import triton  # noqa: F401

LONGEST = "test_smoke"  # a quarter of an hour, one test after the other: all other files fit beside it

# A shell's background job ignores interrupts, and so would all that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the file that takes longest, then those with slow tests, so that no core waits for one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path.stem != LONGEST, item.path not in slow))


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


@pytest.fixture
def units_here(monkeypatch):
    """Let stages do their units in this process, one after the other, so that tests may replace what they ask."""
    from worldvla.arithmetic import ENVIRONMENT
    from worldvla.running import units
    from worldvla.running.keeper import CANNOT_BEGIN
    from worldvla.running.ledger import UNABLE
    from worldvla.running.worker import Worker

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    class Here:
        def __init__(self, machine, job, ledger, num_open):
            self.folder, self.ledger = job.folder, ledger

        def tend(self, standing):
            try:
                Worker(self.folder, (0, 1)).run()
            except SystemExit as ended:  # of a worker whose unit broke, which another one follows, or that cannot begin
                if ended.code == CANNOT_BEGIN:
                    told = [one.error for one in self.ledger.leases.last().values() if one.kind == UNABLE]
                    raise ValueError(told[0]) from None

        def close(self):
            pass

    monkeypatch.setattr(units, "start_workers", Here)
