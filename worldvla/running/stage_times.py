"""How long stages take: what to start first, and how long the rest will take."""

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

TIMING = Path("data/timing")


class StageTimes:
    """The seconds that the stages of a plan took the last time, as far as they are known.

    Args:
        upstream: stage -> the stages that it depends on; whatever a stage depends on comes before it.
        alone: stages that nothing runs beside.
        scripts: what each stage runs; stages of the same script are siblings.
        outs: the files and folders that each stage writes, its wall clock among them if it keeps one.
    """

    def __init__(
        self,
        upstream: Mapping[str, set[str]],
        alone: Iterable[str],
        scripts: Mapping[str, str],
        outs: Mapping[str, Iterable[Path]],
    ) -> None:
        """Read what earlier runs wrote down."""
        self.upstream, self.alone, self.scripts = upstream, set(alone), scripts
        self.seconds: dict[str, float] = {}
        for name, paths in outs.items():
            for path in paths:
                if TIMING.absolute() in path.absolute().parents:
                    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                        self.seconds[name] = float(json.loads(path.read_text())["seconds"])

    def expected(self, name: str) -> float | None:
        """Return how many seconds a stage took the last time, else what its siblings took on average."""
        if name in self.seconds:
            return self.seconds[name]
        script = self.scripts[name]
        return _mean(seconds for other, seconds in self.seconds.items() if self.scripts[other] == script)

    def urgency(self) -> dict[str, float]:
        """Return the seconds from each stage's start to the end of the longest chain of stages that waits for it.

        Of a stage that never ran, nor any of its siblings, it is assumed that it takes as long as the others; of one that
        runs alone, that it takes no time, so that others are not kept waiting for it.
        """
        average = _mean(self.seconds.values()) or 1.0
        chains = dict.fromkeys(self.upstream, 0.0)
        for name in reversed(list(self.upstream)):
            chains[name] += self.expected(name) or (0.0 if name in self.alone else average)
            for other in self.upstream[name]:
                chains[other] = max(chains[other], chains[name])
        return chains

    def left(self, done: set[str], running: Mapping[str, float], jobs: int) -> tuple[float, bool]:
        """Return the seconds that the stages not done take if all of them run, and whether each one's is known.

        They take as long as the longest chain of stages, or as all of the work spread over the jobs.

        Args:
            done: the stages that have ended.
            running: the seconds for which each of the others that run has run.
            jobs: stages at a time.
        """
        pending = [name for name in self.upstream if name not in done]
        expected = {name: self.expected(name) for name in pending}
        chains: dict[str, float] = {}
        work = 0.0
        for name in pending:
            seconds = max(0.0, (expected[name] or 0) - running.get(name, 0))
            chains[name] = seconds + max((chains[other] for other in self.upstream[name] & chains.keys()), default=0)
            work += seconds if name in self.alone else seconds / jobs
        return max(work, max(chains.values(), default=0)), None not in expected.values()


def _mean(seconds: Iterable[float]) -> float | None:
    values = list(seconds)
    return sum(values) / len(values) if values else None


def clock(seconds: float) -> str:
    """Return seconds as minutes:seconds or hours:minutes:seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
