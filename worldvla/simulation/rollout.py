"""Closed-loop episodes of a policy, many at a time and in lock step.

Every round asks the policy once for all lanes that are in an episode, then every lane executes its chunk open loop:

    round    0     1     2     3     4     5     6
    lane 0  [====== episode 0 ======][== episode 1 ...      each lane runs its own stretch of the list of episodes,
    lane 1  [== episode 7 ==][====== episode 8 ======]      sorted by task, so that a simulator is rebuilt rarely

Which rows share a batch depends on the list, the number of lanes and the outcomes, on nothing else. So the results are the
same for any number of workers, and after an interruption: a checkpoint holds the actions executed so far, from which
the simulators return exactly to where they were.
"""

import pickle
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from worldvla.files import atomic_file
from worldvla.running.console import Progress
from worldvla.running.unfinished import read_checkpoint
from worldvla.simulation.lanes import Call, Episode, LanePool, no_actions
from worldvla.simulation.outcomes import Outcome
from worldvla.simulation.videos import video_name

CHECKPOINT_EVERY_S = 20.0


class Policy(Protocol):
    """What chooses the actions. Every row of a batch is answered as if it were alone, up to rounding."""

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """Return the codes (uint16 [N, n]) of upright RGB frames (uint8 [N, pixels, pixels, 3])."""
        ...

    def act(self, languages: list[str], histories: list[np.ndarray]) -> list[np.ndarray | None]:
        """Return per row a chunk of actions (float64 [K, 7]), or None if the model's answer is no chunk.

        Args:
            languages: the instruction of each row.
            histories: the codes of its last frames, uint16 [m, n], oldest first; only the first frame at the start.
        """
        ...


@dataclass
class _Lane:
    """The episodes that a lane still has to run, and where it is in the current one."""

    todo: deque[int]  # places in the list of episodes; the first is the current one
    actions: np.ndarray = field(default_factory=no_actions)  # float64 [t, 7], executed in the current episode
    history: list[np.ndarray] = field(default_factory=list)  # codes of the last frames; empty: the episode is not begun


@dataclass
class _State:
    """All that a run needs to go on after an interruption."""

    lanes: list[_Lane]
    outcomes: dict[int, tuple[bool, np.ndarray, int]] = field(default_factory=dict)  # by place in the list of episodes
    seconds: float = 0.0


def run_rollouts(
    policy: Policy,
    episodes: Sequence[Episode],
    pool: LanePool,
    *,
    history: int,
    max_steps: int,
    checkpoint: Path | None = None,
) -> tuple[list[Outcome], float]:
    """Run every episode once and return the outcomes, in the order of the episodes, and the seconds that it took.

    An episode ends at the first success, after ``max_steps`` actions, or when the policy's answer is no chunk.

    Args:
        policy: answers one batch per round.
        episodes: what to run; episodes of one task side by side.
        pool: the simulators; their number fixes the batches.
        history: number of frames that the policy sees, the last of them now; fewer only at the start of an episode.
        max_steps: actions per episode, at most.
        checkpoint: a file to continue from, if it exists, and to write now and then.

    Raises:
        ValueError: a simulator failed twice; see `LanePool.execute`.
    """
    places = np.array_split(np.arange(len(episodes)), min(pool.num_lanes, len(episodes)))
    state = _State([_Lane(deque(block.tolist())) for block in places])
    if checkpoint:
        state = read_checkpoint(checkpoint, lambda path: pickle.loads(path.read_bytes())) or state
    saved = time.monotonic()
    with Progress(total=len(episodes), initial=len(state.outcomes), desc="rollout", unit="episode") as bar:
        while any(lane.todo for lane in state.lanes):
            finished = len(state.outcomes)
            _round(policy, episodes, pool, state, history, max_steps)
            bar.set_postfix_str(f"success {sum(success for success, *_ in state.outcomes.values())}", refresh=False)
            bar.update(len(state.outcomes) - finished)
            now = time.monotonic()
            if checkpoint and now - saved >= CHECKPOINT_EVERY_S:
                state.seconds += now - saved
                saved = now
                with atomic_file(checkpoint) as scratch:
                    scratch.write_bytes(pickle.dumps(state))
    outcomes = [
        Outcome(episodes[place], success, actions, policy_failures)
        for place, (success, actions, policy_failures) in sorted(state.outcomes.items())
    ]
    return outcomes, state.seconds + time.monotonic() - saved


def _round(policy: Policy, episodes: Sequence[Episode], pool: LanePool, state: _State, history: int, max_steps: int):
    """Begin the episodes that are due, ask the policy once, and let every lane execute its chunk."""
    running = {number: lane for number, lane in enumerate(state.lanes) if lane.todo}
    begin = {number: lane for number, lane in running.items() if not lane.history}
    replies = pool.execute({number: Call(episodes[lane.todo[0]], num_frames=1) for number, lane in begin.items()})
    _remember(policy, state, {number: reply.frames for number, reply in replies.items()}, history)

    languages = [episodes[lane.todo[0]].task.language for lane in running.values()]
    chunks = policy.act(languages, [np.stack(lane.history) for lane in running.values()])
    calls = {}
    for (number, lane), chunk in zip(running.items(), chunks, strict=True):
        if chunk is None:
            _finish(state, lane, success=False, policy_failures=1)
        else:
            left = max_steps - len(lane.actions)
            num_frames = history if len(chunk) < left else 0  # the last chunk is followed by no query
            calls[number] = Call(episodes[lane.todo[0]], lane.actions, chunk[:left], num_frames)
    replies = pool.execute(calls)
    for number, reply in replies.items():
        lane = state.lanes[number]
        lane.actions = np.concatenate([lane.actions, calls[number].actions[: reply.num_steps]])
        if reply.success or len(lane.actions) == max_steps:
            _finish(state, lane, success=reply.success, policy_failures=0)
    _remember(policy, state, {number: reply.frames for number, reply in replies.items()}, history)


def _remember(policy: Policy, state: _State, frames: dict[int, np.ndarray], history: int) -> None:
    """Encode the lanes' new frames in one batch and append them to the lanes' histories."""
    frames = {number: new for number, new in frames.items() if len(new)}
    if not frames:
        return
    codes = policy.encode(np.concatenate(list(frames.values())))
    ends = np.cumsum([len(new) for new in frames.values()])
    for number, new in zip(frames, np.split(codes, ends[:-1]), strict=True):
        state.lanes[number].history = [*state.lanes[number].history, *new][-history:]


def _finish(state: _State, lane: _Lane, *, success: bool, policy_failures: int) -> None:
    state.outcomes[lane.todo.popleft()] = (success, lane.actions, policy_failures)
    lane.actions, lane.history = no_actions(), []


def record_videos(pool: LanePool, outcomes: Sequence[Outcome], films_per_task: int, folder: Path) -> list[Path]:
    """Film the first initial states of every task by executing their actions again; return the files.

    Chosen by number, not by outcome: so every run has films of the same episodes, to be looked at side by side.
    """
    chosen = [outcome for outcome in outcomes if outcome.init_state < films_per_task]
    paths = [folder / video_name(outcome.task_index, outcome.init_state, outcome.success) for outcome in chosen]
    for first in range(0, len(chosen), pool.num_lanes):
        batch = list(zip(chosen, paths, strict=True))[first : first + pool.num_lanes]
        replies = pool.execute(
            {lane: Call(one.episode, actions=one.actions, video=path) for lane, (one, path) in enumerate(batch)}
        )
        for reply, (one, _) in zip(replies.values(), batch, strict=True):
            if reply.success != one.success:
                raise ValueError(f"{one.episode}: it ended otherwise when its actions were repeated for the video")
    return paths
