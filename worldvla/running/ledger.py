"""What has become of every unit of some work: a folder that any number of workers on any number of machines share.

    work/rollout/4f0c.../
      job.json          what to do, for people and workers     job.pickle    its arguments
      leases/           <unit>.<attempt>                       worldvla/running/leases.py
      results/          <unit>.<sha256><suffix>                whole files only: each is moved there when it is written

A result bears the digest of its content in its name. So a unit that two workers did is there once, a damaged result is
found, and a unit that came out in two ways, which no unit may, is found too.
"""

import contextlib
import errno
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from worldvla.files import PROCESS, file_digest
from worldvla.running.leases import DONE, FAILED, RUNNING, Attempt, Lease, Leases

STAGE = "stage"  # the lease of the stage itself: one at a time merges, and deletes
# Kinds of failures: a ValueError, which would come again; a full disk; anything else. And of a worker that gave a unit back:
# it could not begin.
REFUSED, FULL, BROKE, UNABLE = "refused", "full", "broke", "unable"

MAX_FAILURES = 2  # of a unit that raised
MAX_LOSSES = 3  # of a unit whose worker died: chance strikes twice
MAX_ATTEMPTS = 10  # with those that were given up in order, as at the end of a job's time

DIGEST_LENGTH = 32


@dataclass(frozen=True)
class Standing:
    """Where the units stand."""

    done: dict[str, Path]  # unit -> result
    attempts: dict[str, Attempt]  # unit -> its last attempt, of those that are not done
    running: list[str]
    lost: list[str]  # units whose last attempt's worker died, to be done again
    stage_is_over: bool  # the stage has ended in order; if it was killed, what it asked for is still wanted


class Ledger:
    """The units of one folder. Names are unique and fit to be those of files, without dots."""

    def __init__(self, folder: Path, units: Iterable[str], suffix: str) -> None:
        """Take a folder.

        Args:
            folder: ``work/<stage>/<digest>``; the digest is of all that decides the results.
            units: their names.
            suffix: of the files of results, with its dot.
        """
        self.folder, self.units, self.suffix = folder, tuple(units), suffix
        self._results = folder / "results"
        self.leases = Leases(folder / "leases")

    def make(self) -> None:
        """Make the folder, if it is not there."""
        for path in (self._results, self.leases.folder):
            path.mkdir(parents=True, exist_ok=True)

    def results(self) -> dict[str, Path]:
        """Return the results that are there, by unit.

        Raises:
            ValueError: a unit came out in two ways.
        """
        found: dict[str, list[Path]] = defaultdict(list)
        known = set(self.units)
        for file in sorted(os.listdir(self._results)):
            unit, _, digest = file.removesuffix(self.suffix).partition(".")
            if unit in known and len(digest) == DIGEST_LENGTH:
                found[unit].append(self._results / file)
        for unit, paths in found.items():
            if len(paths) > 1:
                raise ValueError(
                    f"{self._results}: '{unit}' has two results that differ, {paths[0].name} and {paths[1].name}; expected "
                    "the same bytes from every worker; see whether the machines have the same packages, delete both and "
                    "run the same command"
                )
        return {unit: paths[0] for unit, paths in found.items()}

    def scratch(self, unit: str) -> Path:
        """Return the path to write a unit's result to, until it is whole."""
        return self._results / f".partial-{PROCESS}-{unit}{self.suffix}"

    def keep(self, unit: str, scratch: Path) -> None:
        """Make a written file the result of its unit."""
        scratch.rename(self._results / f"{unit}.{file_digest(scratch)[:DIGEST_LENGTH]}{self.suffix}")

    def standing(self) -> Standing:
        """Return where the units stand now."""
        done = self.results()
        attempts = self.leases.last(but=done)
        stage = attempts.pop(STAGE, None)
        lost = [name for name, attempt in attempts.items() if self.leases.is_lost(name, attempt)]
        running = [name for name, one in attempts.items() if one.state == RUNNING and name not in lost]
        return Standing(done, attempts, running, lost, stage is None or stage.state != RUNNING)

    def take(self, unit: str, standing: Standing) -> Lease | None:
        """Take a unit that nobody has in hand; None if somebody has, or if it has failed for good."""
        if unit in standing.done or unit in standing.running:
            return None
        last = standing.attempts.get(unit)
        if last and (self.verdict(unit) or (last.state == DONE and unit in self.results())):
            return None  # the latter was done between the looks at results and at leases
        return self.leases.take(unit, last)

    def verdict(self, unit: str) -> Exception | None:
        """Return what a unit fails the stage with, if it is not to be tried again."""
        attempts = self.leases.of(unit)
        failures = [one for one in attempts if one.state == FAILED]
        # An attempt that another one followed was taken for lost.
        losses = [one for one in attempts[:-1] if one.state == RUNNING]
        losses += [one for one in attempts[-1:] if self.leases.is_lost(unit, one)]
        for one in failures:
            if one.kind == FULL:
                return OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} ({one.where})", str(self.folder))
            if one.kind == REFUSED:
                return ValueError(one.error)
        if len(failures) >= MAX_FAILURES:
            return ValueError(f"'{unit}' failed {len(failures)} times: {failures[-1].error}")
        if len(losses) >= MAX_LOSSES:
            return ValueError(
                f"the worker of '{unit}' died {len(losses)} times, the last time as {losses[-1].where}; if memory ran out, "
                "lower the number of workers in machine.yaml; else run the same command to continue"
            )
        if len(attempts) >= MAX_ATTEMPTS:
            return ValueError(
                f"'{unit}' was begun {len(attempts)} times and never finished; expected a job's time to suffice for a unit; "
                "raise hours in machine.yaml"
            )
        return None

    def begin_again(self) -> None:
        """Forget how attempts ended, for a new run of the stage: every unit has its chances anew.

        What somebody has in hand, perhaps on another machine, stays his; and what dead workers wrote of a result goes.
        """
        for name, numbers in self.leases.numbers().items():
            if name == STAGE:
                continue
            last = self.leases.read(name, numbers[-1])
            is_held = last is not None and last.state == RUNNING and not last.holder_is_gone
            for number in numbers[:-1] if is_held else numbers:
                self.leases.forget(name, number)
        if not self.standing().running:
            for path in self._results.glob(".partial-*"):
                path.unlink(missing_ok=True)

    def verified(self) -> dict[str, Path]:
        """Return the results in the order of the units; a damaged one is named, thrown away, and not among them.

        A result was written whole; only a disk, or a person, damages it.
        """
        results = self.results()
        for unit, path in list(results.items()):
            if file_digest(path)[:DIGEST_LENGTH] != path.name.split(".")[1]:
                print(
                    f"{path}: damaged; expected the content that its name is the digest of; thrown away, to be done again",
                    flush=True,
                )
                path.unlink()
                del results[unit]
        return {unit: results[unit] for unit in self.units if unit in results}


@contextlib.contextmanager
def vanishing(folder: Path) -> Iterator[None]:
    """Say in a sentence that a folder is no longer there: a shared disk may go, and a person may delete it."""
    try:
        yield
    except OSError as error:
        gone = error.errno in (errno.ESTALE, errno.EIO, errno.ENOTCONN) or not folder.is_dir()
        if not gone:
            raise
        raise ValueError(
            f"{folder}: cannot be read any more ({error.strerror}: {error.filename}); expected it to stay while units are "
            "done; see whether its disk is there, then run the same command to continue"
        ) from None
