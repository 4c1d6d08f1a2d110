"""Closed-loop episodes of a policy, some at a time and in lock step.

Every round asks the policy once for all episodes that still run, then each executes its chunk open loop:

    round      0     1     2     3     4     5     6
    episode 0 [======== success ]
    episode 1 [=========================== out of steps ]

Which rows share a batch depends on the episodes and on how they go, on nothing else. So the outcomes are the same wherever
they are run, and however many simulators are hosted by one process.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from worldvla.simulation.lanes import Call, Episode, LanePool, Reply, no_actions
from worldvla.simulation.milestones import Milestones
from worldvla.simulation.outcomes import Outcome


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
class _Running:
    """An episode, as far as it has come."""

    episode: Episode
    is_filmed: bool
    actions: np.ndarray = field(default_factory=no_actions)  # float64 [t, 7], executed
    history: list[np.ndarray] = field(default_factory=list)  # codes of the last frames
    film: list[np.ndarray] = field(default_factory=list)  # uint8 [m, H, W, 3] each
    milestones: Milestones = field(default_factory=Milestones)
    outcome: Outcome | None = None

    def finish(self, *, success: bool, policy_failures: int = 0) -> None:
        film = np.concatenate(self.film) if self.film else None
        self.outcome = Outcome(self.episode, success, len(self.actions), policy_failures, self.milestones, film)


def run_episodes(
    policy: Policy,
    episodes: Sequence[Episode],
    pool: LanePool,
    *,
    history: int,
    max_steps: int,
    films_per_task: int = 0,
    advance: Callable[[int], object] = lambda count: None,
) -> list[Outcome]:
    """Run every episode once, all at a time, and return the outcomes in their order.

    An episode ends at the first success, after ``max_steps`` actions, or when the policy's answer is no chunk.

    Args:
        policy: answers one batch per round.
        episodes: what to run, one lane each.
        pool: the simulators.
        history: number of frames that the policy sees, the last of them now; fewer only at the start of an episode.
        max_steps: actions per episode, at most.
        films_per_task: a film is taken of that many initial states of every task, the first ones. Chosen by number, not by
            outcome: so every run has films of the same episodes, to be looked at side by side.
        advance: told the number of episodes that have ended, now and then.

    Raises:
        RuntimeError: a simulator failed twice; see `LanePool.execute`.
    """
    lanes = [_Running(episode, episode.init_state < films_per_task) for episode in episodes]
    calls = {number: Call(lane.episode, num_frames=1, film=lane.is_filmed) for number, lane in enumerate(lanes)}
    _note(policy, lanes, pool.execute(calls), history)
    while running := {number: lane for number, lane in enumerate(lanes) if lane.outcome is None}:
        languages = [lane.episode.task.language for lane in running.values()]
        chunks = policy.act(languages, [np.stack(lane.history) for lane in running.values()])
        calls = {}
        for (number, lane), chunk in zip(running.items(), chunks, strict=True):
            if chunk is None:
                lane.finish(success=False, policy_failures=1)
            else:
                left = max_steps - len(lane.actions)
                num_frames = history if len(chunk) < left else 0  # the last chunk is followed by no query
                calls[number] = Call(lane.episode, lane.actions, chunk[:left], num_frames, lane.is_filmed)
        replies = pool.execute(calls)
        for number, reply in replies.items():
            lanes[number].actions = np.concatenate([lanes[number].actions, calls[number].actions[: reply.num_steps]])
        _note(policy, lanes, replies, history)
        for number, reply in replies.items():
            if reply.success or len(lanes[number].actions) == max_steps:
                lanes[number].finish(success=reply.success)
        advance(sum(lane.outcome is not None for lane in running.values()))
    return [lane.outcome for lane in lanes if lane.outcome is not None]


def _note(policy: Policy, lanes: Sequence[_Running], replies: dict[int, Reply], history: int) -> None:
    """Keep how far lanes came and what was filmed, and encode the new frames of all lanes in one batch for their histories."""
    for number, reply in replies.items():
        lanes[number].milestones = reply.milestones
        if len(reply.film):
            lanes[number].film.append(reply.film)
    frames = {number: reply.frames for number, reply in replies.items() if len(reply.frames)}
    if not frames:
        return
    codes = policy.encode(np.concatenate(list(frames.values())))
    ends = np.cumsum([len(new) for new in frames.values()])
    for number, new in zip(frames, np.split(codes, ends[:-1]), strict=True):
        lanes[number].history = [*lanes[number].history, *new][-history:]
