"""Checkpoints of a training to go on from, of any number of processes (`torch.distributed.checkpoint`).

A checkpoint is a folder ``step-<number>``, whole or not there: it is written under another name, and gets its own when all
processes have written their part. Processes that share a training write beside it. The last two stay.
"""

import contextlib
import json
import shutil
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.staging import BlockingAsyncStager
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save, save

from worldvla.files import write_text
from worldvla.model.chameleon import Chameleon
from worldvla.model.optimizers import Optimizers
from worldvla.model.ranks import Ranks

KEPT = 2
STATE = "state.json"  # beside the tensors: the curve, and whose checkpoint it is


class _Writer(FileSystemWriter):
    """Writes one process's tensors; an error of the disk is one, as it goes to the other processes without its context."""

    def write_data(self, plan: Any, planner: Any) -> Any:
        """Write as torch does."""
        try:
            return super().write_data(plan, planner)
        except RuntimeError as error:
            # torch fails at the end of its archive too, and shows that instead of what went wrong first.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


@dataclass
class Checkpoints:
    """The checkpoints of one training.

    Attributes:
        work: folder that they are in.
        optimizers: have the weights and their moments, which are filled in place.
        ranks: the processes that share it.
        of: what a checkpoint must be of: name for people -> JSON value.
    """

    work: Path
    optimizers: Optimizers
    ranks: Ranks
    of: dict[str, Any]
    _writing: Future[Any] | None = field(default=None, init=False)
    _step: int = field(default=0, init=False)

    def resume(self) -> list[dict[str, Any]]:
        """Fill weights and moments from the newest checkpoint that can be read; return the curve so far, empty without one.

        One that cannot be read is named and set aside.

        Raises:
            ValueError: it is of another model or vocabulary.
        """
        if self.ranks.first:
            for path in self.work.glob(".step-*.partial"):
                shutil.rmtree(path)
        while name := self.ranks.told(max((path.name for path in self.work.glob("step-*[0-9]")), default="")):
            state = self._read(self.work / name)
            if state is not None:
                processes = f" (of {state['processes']} processes)" if state["processes"] != self.ranks.world else ""
                self._say(f"train: going on from step {len(state['curve'])}{processes} ({self.work / name})")
                return state["curve"]
        return []

    def save(self, curve: list[dict[str, Any]]) -> None:
        """Write a checkpoint, or begin to; first wait for the one before.

        Raises:
            OSError: the disk takes no more, this time or the time before.
        """
        self.wait()
        self._step = len(curve)
        scratch = self._scratch()
        if self.ranks.first:
            scratch.mkdir(parents=True, exist_ok=True)
            state = {"of": self.of, "processes": self.ranks.world, "curve": curve}
            write_text(scratch / STATE, json.dumps(state))
        self.ranks.told(None)  # the folder is there
        writer, tensors = _Writer(scratch), self._tensors()
        if self.ranks.beside is None:
            self._writing = Future()
            try:
                with _no_warnings():
                    self._writing.set_result(save(tensors, storage_writer=writer, no_dist=True))
            except CheckpointException as error:
                self._writing.set_exception(error)
            self.wait()
        else:
            writing = async_save(
                tensors,
                storage_writer=writer,
                process_group=self.ranks.beside,
                async_stager=BlockingAsyncStager(),
            )
            assert isinstance(writing, Future)
            self._writing = writing

    def collect(self) -> None:
        """End the writing of a checkpoint if it is written, on all processes at the same step.

        Raises:
            OSError: as ``save``.
        """
        if self._writing is not None and self.ranks.most(int(self._writing.done())):
            self.wait()

    def wait(self) -> None:
        """Wait for the checkpoint that is being written, give it its name, and delete the oldest.

        Raises:
            OSError: as ``save``.
        """
        writing, self._writing = self._writing, None
        if writing is None:
            return
        scratch = self._scratch()
        try:
            writing.result()
        except CheckpointException as error:
            if self.ranks.first:
                shutil.rmtree(scratch, ignore_errors=True)
            raise _disk_error(error) or error from None
        if self.ranks.first:  # its part is done when all others are, and the index of all parts is written
            final = self.work / f"step-{self._step:08}"
            shutil.rmtree(final, ignore_errors=True)
            scratch.rename(final)
            for path in sorted(self.work.glob("step-*[0-9]"))[:-KEPT]:
                self._delete(path)

    def _delete(self, path: Path) -> None:
        old = path.with_name(f".{path.name}.partial")
        path.rename(old)
        if self.ranks.beside is None:
            shutil.rmtree(old)
        else:  # a hundred gigabytes may take longer than the others wait
            threading.Thread(target=shutil.rmtree, args=[old, True]).start()

    def _scratch(self) -> Path:
        return self.work / f".step-{self._step:08}.partial"

    def _tensors(self) -> dict[str, Tensor]:
        """Return weights and moments by name; where there are no moments yet, zeros that become those of the optimizer."""
        weights = {f"weights.{name}": weight.detach() for name, weight in self.optimizers.weights.items()}
        return weights | self.optimizers.moments()

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            state = json.loads((path / STATE).read_text(encoding="utf-8"))
            of, curve = state["of"], state["curve"]
        except (OSError, ValueError, KeyError, TypeError):
            return self._set_aside(path)
        for name, value in self.of.items():
            if of.get(name) != value:
                raise ValueError(
                    f"{path}: a checkpoint of another {name}: {of.get(name)}; expected {value}; delete that folder to begin anew, or restore "
                    "params.yaml and conf/"
                )
        try:
            with _no_warnings():
                load(self._tensors(), checkpoint_id=path, no_dist=self.ranks.mesh is None)
        except CheckpointException:
            return self._set_aside(path)
        self.optimizers.go_on(len(curve))
        return state

    def _set_aside(self, path: Path) -> None:
        # Not deleted: reading may fail for want of memory too. It goes with the rest of the unfinished work.
        aside = path.with_name(f"{path.name}.damaged")
        if self.ranks.first:
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
        self.optimizers.forget()
        self._say(
            f"{path}: cannot be read; expected the checkpoint of an interrupted run; set aside as {aside.name}, going on from the one "
            "before it, if there is one"
        )
        self.ranks.told(None)

    def _say(self, line: str) -> None:
        if self.ranks.first:
            print(line, flush=True)


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Let torch not warn that there is one process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def model_facts(model: Chameleon, vocabulary: str) -> dict[str, Any]:
    """Return what a checkpoint must be of to go on with a model."""
    return {"model": asdict(model.config), "vocabulary": vocabulary}


def _disk_error(error: CheckpointException) -> OSError | None:
    """Return the error of a disk behind that of a checkpoint, on whichever process it was."""
    for failure, _ in error.failures.values():
        if isinstance(failure, OSError) and failure.errno is not None:
            return OSError(failure.errno, failure.strerror)
    return None
