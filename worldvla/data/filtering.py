"""The release's filter: replay a demonstration without its no-ops, and keep it if it still succeeds."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from worldvla.data.episodes import FilteredEpisode
from worldvla.data.raw import Trajectory

NOOP_NORM = 1e-4  # of the six motion dimensions, in units of the controller's command range

KEPT = "kept"
ONLY_NOOPS = "only no-ops"
FAILED = "no success at any step"
REGRESSED = "succeeded earlier, not at the last step"


class Simulator(Protocol):
    """What a replay needs of an environment."""

    def reset(self, state: np.ndarray) -> None:
        """Set a flattened simulator state and let the scene settle, exactly reproducibly."""
        ...

    def step(self, action: np.ndarray) -> bool:
        """Execute one action ``[7]`` and return whether the task is solved now."""
        ...

    def frame(self) -> np.ndarray:
        """Return the agentview, upright RGB uint8 ``[px, px, 3]``."""
        ...

    def state(self) -> np.ndarray:
        """Return the flattened simulator state, float64 ``[n]``."""
        ...

    def proprioception(self) -> dict[str, np.ndarray]:
        """Return robot_states (9), ee_states (6), gripper_states (2) and joint_states (7), among others."""
        ...


@dataclass(frozen=True)
class Verdict:
    """What became of one raw demonstration."""

    demo: str  # "demo_7"
    kept: bool
    reason: str  # one of the four constants above
    num_raw_steps: int
    num_noops: int  # dropped steps
    num_steps: int  # executed steps: num_raw_steps - num_noops


def is_noop(action: np.ndarray, last_kept_gripper: float | None) -> bool:
    """Return whether an action ``[7]`` moves nothing: a tiny motion and no new gripper command.

    The gripper is compared with the last *kept* action (None if there is none yet: then only the motion counts), so a
    command that first appears in a dropped step is not lost. Its value counts, not its change in the simulator: a
    gripper needs several steps to close, and those steps must stay only if they also move.

    Source: ``regenerate_libero_dataset_filter_no_op.py`` of the release (commit 6a9af08).
    """
    still = bool(np.linalg.norm(action[:-1]) < NOOP_NORM)  # False for nan, which the simulator then refuses
    return still and (last_kept_gripper is None or bool(action[-1] == last_kept_gripper))


def replay(environment: Simulator, trajectory: Trajectory) -> tuple[Verdict, FilteredEpisode | None]:
    """Replay a demonstration from its first state without its no-ops.

    Observations are taken before each executed action, so the first is the settled scene. As in the release, the first
    stored state is the recorded one, the later ones are the simulator's. Only the success flag of the last executed
    step counts.

    Returns:
        The verdict, and the episode if it is kept.
    """
    actions: list[np.ndarray] = []
    states: list[np.ndarray] = []
    frames: list[np.ndarray] = []
    robot: list[dict[str, np.ndarray]] = []
    successes = []
    environment.reset(trajectory.states[0])
    for action in trajectory.actions:
        if is_noop(action, actions[-1][-1] if actions else None):
            continue
        states.append(environment.state() if actions else trajectory.states[0])
        frames.append(environment.frame())
        robot.append(environment.proprioception())
        actions.append(action)
        successes.append(environment.step(action))

    num_raw_steps = len(trajectory.actions)
    if not actions:
        reason = ONLY_NOOPS
    elif successes[-1]:
        reason = KEPT
    else:
        reason = REGRESSED if any(successes) else FAILED
    verdict = Verdict(
        trajectory.demo, reason == KEPT, reason, num_raw_steps, num_raw_steps - len(actions), len(actions)
    )
    if not verdict.kept:
        return verdict, None
    episode = FilteredEpisode(
        demo=trajectory.demo,
        actions=np.stack(actions),
        states=np.stack(states),
        robot_states=np.stack([step["robot_states"] for step in robot]),
        ee_states=np.stack([step["ee_states"] for step in robot]),
        gripper_states=np.stack([step["gripper_states"] for step in robot]),
        joint_states=np.stack([step["joint_states"] for step in robot]),
        frames=np.stack(frames),
    )
    return verdict, episode
