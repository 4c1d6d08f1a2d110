"""The release's filter: replay a demonstration without its no-ops, and keep it if it still succeeds."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from worldvla.data.episodes import FilteredEpisode
from worldvla.data.trajectories import Trajectory

NOOP_NORM = 1e-4  # of the six motion dimensions, in units of the controller's command range

KEPT = "kept"
ONLY_NOOPS = "only no-ops"
FAILED = "no success at any step"
REGRESSED = "succeeded earlier, not at the last step"
UNUSABLE = "unusable data"  # followed by what is wrong, in parentheses
BREAKS = "breaks the simulator"  # likewise


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
    reason: str  # one of the constants above
    num_raw_steps: int  # 0 of unusable data
    num_noops: int  # dropped steps; 0 where nothing was replayed to the end
    num_steps: int  # executed steps; likewise


def is_noop(action: np.ndarray, last_kept_gripper: float | None) -> bool:
    """Return whether an action ``[7]`` moves nothing: a tiny motion and no new gripper command.

    The gripper is compared with the last *kept* action (None if there is none yet: then only the motion counts), so a
    command that first appears in a dropped step is not lost. Its value counts, not its change in the simulator: a
    gripper needs several steps to close, and those steps must stay only if they also move.

    Source: ``regenerate_libero_dataset_filter_no_op.py`` of the release (commit 6a9af08).
    """
    still = bool(np.linalg.norm(action[:-1]) < NOOP_NORM)
    return still and (last_kept_gripper is None or bool(action[-1] == last_kept_gripper))


def without_noops(actions: np.ndarray) -> np.ndarray:
    """Return the actions ``[T, 7]`` that are executed, ``[t, 7]``."""
    kept: list[int] = []
    for number, action in enumerate(actions):
        if not is_noop(action, float(actions[kept[-1], -1]) if kept else None):
            kept.append(number)
    return actions[kept]


def replay(environment: Simulator, trajectory: Trajectory) -> tuple[Verdict, FilteredEpisode | None]:
    """Replay a demonstration from its first state without its no-ops.

    Observations are taken before each executed action, so the first is the settled scene. As in the release, the first
    stored state is the recorded one, the later ones are the simulator's. Only the success flag of the last executed
    step counts.

    Returns:
        The verdict, and the episode if it is kept.
    """
    actions = without_noops(trajectory.actions)
    states: list[np.ndarray] = []
    frames: np.ndarray | None = None  # of all steps: a list of them would be stacked, and so held twice
    robot: list[dict[str, np.ndarray]] = []
    successes = []
    environment.reset(trajectory.states[0])
    for number, action in enumerate(actions):
        states.append(environment.state() if number else trajectory.states[0])
        frame = environment.frame()
        if frames is None:
            frames = np.empty((len(actions), *frame.shape), frame.dtype)
        frames[number] = frame
        robot.append(environment.proprioception())
        successes.append(environment.step(action))

    num_raw_steps = len(trajectory.actions)
    if not len(actions):
        reason = ONLY_NOOPS
    elif successes[-1]:
        reason = KEPT
    else:
        reason = REGRESSED if any(successes) else FAILED
    verdict = Verdict(
        trajectory.demo, reason == KEPT, reason, num_raw_steps, num_raw_steps - len(actions), len(actions)
    )
    if not verdict.kept or frames is None:
        return verdict, None
    episode = FilteredEpisode(
        demo=trajectory.demo,
        actions=actions,
        states=np.stack(states),
        robot_states=np.stack([step["robot_states"] for step in robot]),
        ee_states=np.stack([step["ee_states"] for step in robot]),
        gripper_states=np.stack([step["gripper_states"] for step in robot]),
        joint_states=np.stack([step["joint_states"] for step in robot]),
        frames=frames,
    )
    return verdict, episode
