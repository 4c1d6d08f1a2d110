"""Simulators in processes of their own. A lane is one simulator with one episode at a time; a process hosts several lanes.

    worker, with the policy     process 0: lanes 0, 2, 4    process 1: lanes 1, 3, 5
    execute({lane: Call})  -->  Call, Call, Call            Call, Call, Call
    {lane: Reply}          <--  Reply, Reply, Reply         Reply, Reply, Reply

A call says all that its reply depends on: the episode, what was executed before, what to execute now. The simulator that
a lane keeps is only a shortcut; one that is not where the call begins restarts the episode and executes ``before`` again.
So replies do not depend on the number of processes, and a failed simulator goes on exactly.
"""

import contextlib
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Protocol

import numpy as np

from worldvla.running.watching import end_with_parent
from worldvla.simulation import rendering
from worldvla.simulation.milestones import Milestones
from worldvla.simulation.processes import spawn_context
from worldvla.simulation.tasks import Task
from worldvla.simulation.videos import VIDEO_PIXELS


def no_actions() -> np.ndarray:
    """Return an empty list of actions, float64 [0, 7]."""
    return np.zeros((0, 7))


class Simulator(Protocol):
    """What a lane needs of an environment."""

    def reset(self, state: np.ndarray) -> None:
        """Set the initial state (float64 [n]) and let it settle; exactly reproducible."""
        ...

    def step(self, action: np.ndarray) -> bool:
        """Execute one action (float64 [7]) and return whether the task is accomplished now."""
        ...

    def frame(self, pixels: int | None = ...) -> np.ndarray:
        """Render an upright RGB frame, uint8 [pixels, pixels, 3]."""
        ...

    def milestones(self) -> Milestones:
        """Return how far the episode has come."""
        ...

    def close(self) -> None:
        """Free the simulator."""
        ...


@dataclass(frozen=True, eq=False)
class Episode:
    """One task from one of its fixed initial states."""

    task: Task
    init_state: int  # its number among the task's
    state: np.ndarray  # float64 [n]

    def __str__(self) -> str:
        """Return the episode in words, for messages."""
        return f"task '{self.task.name}', init state {self.init_state}"


@dataclass(frozen=True, eq=False)
class Call:
    """What a lane shall do: execute ``actions``, up to the first success."""

    episode: Episode
    before: np.ndarray = field(default_factory=no_actions)  # float64 [t, 7], all actions of the episode so far
    actions: np.ndarray = field(default_factory=no_actions)  # float64 [k, 7]
    num_frames: int = 0  # render the frames after the last of these actions; without actions: the episode's first frame
    film: bool = False  # also render every frame, larger


@dataclass(frozen=True, eq=False)
class Reply:
    """What a lane did."""

    success: bool
    num_steps: int  # actions executed, without ``before``
    milestones: Milestones  # of the whole episode so far
    frames: np.ndarray  # uint8 [m, pixels, pixels, 3]; m <= num_frames; none after a success
    film: (
        np.ndarray
    )  # uint8 [m, VIDEO_PIXELS, VIDEO_PIXELS, 3]: the first frame, or one after each action; none unasked


class Lane:
    """One simulator and where it is."""

    def __init__(self, make_simulator: Callable[[Task], Simulator]):
        self._make_simulator = make_simulator
        self._forget()

    def execute(self, call: Call) -> Reply:
        """Execute a call; if the simulator raises, once more on a new one."""
        try:
            return self._execute(call)
        except Exception:  # whatever a simulator may raise; the second time it is the caller's to report
            self._forget()
            return self._execute(call)

    def close(self) -> None:
        """Free the simulator."""
        if self._simulator is not None:
            self._simulator.close()
        self._forget()

    def _forget(self) -> None:
        self._simulator: Simulator | None = None
        self._task: Task | None = None
        self._position: tuple[str, int, int] | None = None  # task, init state, actions executed since

    def _execute(self, call: Call) -> Reply:
        simulator = self._simulator_at(call)
        frames = [] if len(call.actions) or not call.num_frames else [simulator.frame()]
        film = [simulator.frame(pixels=VIDEO_PIXELS)] if call.film and not len(call.actions) else []
        self._position = None  # until the call is done
        success, num_steps = False, 0
        for action in call.actions:
            success = simulator.step(action)
            num_steps += 1
            if call.film:
                film.append(simulator.frame(pixels=VIDEO_PIXELS))
            if success:
                frames = []
                break
            if num_steps > len(call.actions) - call.num_frames:
                frames.append(simulator.frame())
        self._position = (call.episode.task.name, call.episode.init_state, len(call.before) + num_steps)
        return Reply(success, num_steps, simulator.milestones(), _stacked(frames), _stacked(film))

    def _simulator_at(self, call: Call) -> Simulator:
        """Return the simulator, in the state where the call begins."""
        episode = call.episode
        if self._simulator is None or self._task != episode.task:
            self.close()
            self._simulator, self._task = self._make_simulator(episode.task), episode.task
        if self._position != (episode.task.name, episode.init_state, len(call.before)):
            self._position = None
            self._simulator.reset(episode.state)
            for action in call.before:
                assert not self._simulator.step(action), "the episode ended early when its actions were repeated"
        return self._simulator


def _stacked(frames: list[np.ndarray]) -> np.ndarray:
    return np.stack(frames) if frames else np.zeros((0, 0, 0, 3), np.uint8)


class LanePool:
    """Lanes in processes of their own or in this one, as a context manager. A lane builds its simulator at its first call."""

    def __init__(self, make_simulator: Callable[[Task], Simulator], num_processes: int):
        """Start the processes.

        Args:
            make_simulator: builds a task's simulator; it is pickled.
            num_processes: how many; 0: the lanes are in this process, which runs them one after the other.
        """
        self._make_simulator = make_simulator
        self._own: dict[int, Lane] = {}
        self._workers = []
        context = spawn_context() if num_processes else None
        for _ in range(num_processes):
            assert context is not None
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, make_simulator), daemon=True)
            process.start()
            theirs.close()
            self._workers.append((process, ours))

    def __enter__(self) -> "LanePool":
        """Return the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes, whatever they are doing, and the simulators of this one."""
        for lane in self._own.values():
            lane.close()
        for process, connection in self._workers:
            process.terminate()
            process.join()
            connection.close()

    def execute(self, calls: Mapping[int, Call]) -> dict[int, Reply]:
        """Execute one call per lane, in parallel over the processes, and return the reply of each lane.

        Raises:
            RuntimeError: a simulator raised twice, or a process died. It is the simulator's failure, never the policy's.
        """
        if not self._workers:
            answer = _answer(self._own, calls, self._make_simulator)
            if isinstance(answer, str):
                raise RuntimeError(answer)
            return answer
        shares = [
            {lane: call for lane, call in calls.items() if lane % len(self._workers) == worker}
            for worker in range(len(self._workers))
        ]
        busy = [(*worker, share) for worker, share in zip(self._workers, shares, strict=True) if share]
        for _, connection, share in busy:
            connection.send(share)
        replies: dict[int, Reply] = {}
        for process, connection, share in busy:
            try:
                answer = connection.recv()
            except (EOFError, ConnectionResetError):
                process.join()
                episodes = "; ".join(str(call.episode) for call in share.values())
                raise RuntimeError(
                    f"a simulator process died with exit code {process.exitcode} during {episodes}; "
                    "if memory ran out, lower rollout.environments; else run the same command to continue"
                ) from None
            if isinstance(answer, str):
                raise RuntimeError(answer)
            replies |= answer
        return dict(sorted(replies.items()))


def _serve(connection: Connection, make_simulator: Callable[[Task], Simulator]) -> None:
    """Answer calls in a process of its own until the main process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    end_with_parent()
    rendering.forget_hidden_gpus()
    lanes: dict[int, Lane] = {}
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            connection.send(_answer(lanes, connection.recv(), make_simulator))


def _answer(
    lanes: dict[int, Lane], calls: Mapping[int, Call], make_simulator: Callable[[Task], Simulator]
) -> dict[int, Reply] | str:
    """Return the reply of each lane; or, when a simulator has failed twice, the sentence that says so."""
    replies = {}
    for number, call in calls.items():
        lane = lanes.setdefault(number, Lane(make_simulator))
        try:
            replies[number] = lane.execute(call)
        except Exception as error:  # any exception has to cross the process boundary as words
            return f"{call.episode}: the simulator failed twice: {type(error).__name__}: {error}"
    return replies
