"""The rule by which no-ops are dropped, and what of a demonstration is kept when it is replayed."""

import numpy as np
import pytest
from slider import CLOSE, OPEN, Slider, trajectory

from worldvla.data.filtering import is_noop, replay


def run(*moves, goal=1.0):
    slider = Slider(goal)
    verdict, episode = replay(slider, trajectory(*moves))
    return verdict, episode, [(float(action[0]), float(action[6])) for action in slider.steps]


@pytest.mark.parametrize(
    ("norm", "gripper", "last", "noop"),
    [
        (0, OPEN, None, True),  # nothing kept yet: only the motion counts
        (0, CLOSE, None, True),
        (0, OPEN, OPEN, True),
        (0, CLOSE, OPEN, False),  # a new gripper command
        (0.99e-4, OPEN, OPEN, True),
        (1e-4, OPEN, OPEN, False),  # the norm must be smaller
        (0.5, OPEN, OPEN, False),
    ],
)
def test_noop_rule(norm, gripper, last, noop):
    assert is_noop(np.array([norm, 0, 0, 0, 0, 0, gripper]), last) is noop


def test_noop_norm_is_of_the_six_motions_together():
    each = 0.9e-4
    assert not is_noop(np.array([each] * 6 + [OPEN]), OPEN)


def test_leading_noops_are_dropped_even_when_the_gripper_moves_in_them():
    verdict, _, executed = run((0, OPEN), (0, CLOSE), (0, OPEN), (1, OPEN))
    assert executed == [(1, OPEN)]
    assert (verdict.num_raw_steps, verdict.num_noops, verdict.num_steps) == (4, 3, 1)


def test_a_gripper_change_is_kept_though_nothing_moves():
    _, _, executed = run((1, OPEN), (0, CLOSE), (0, CLOSE), (0, OPEN))
    assert executed == [(1, OPEN), (0, CLOSE), (0, OPEN)]


def test_the_gripper_is_compared_with_the_last_kept_action():
    # The raw action before the last one also closes, but it was dropped as a leading no-op.
    _, _, executed = run((0, CLOSE), (1, OPEN), (0, OPEN), (0, CLOSE))
    assert executed == [(1, OPEN), (0, CLOSE)]


def test_observations_precede_their_actions_and_the_first_state_is_the_recorded_one():
    verdict, episode, _ = run((0, OPEN), (0.4, OPEN), (0, OPEN), (0.4, OPEN), (0.4, OPEN))
    assert verdict.kept
    assert episode is not None
    assert episode.demo == "demo_7"
    assert episode.frames[:, 0, 0, 0].tolist() == [0, 4, 8]
    assert episode.robot_states[:, 0].tolist() == pytest.approx([0, 0.4, 0.8])
    assert episode.states[:, 0].tolist() == pytest.approx([0, 0.4, 0.8])
    assert episode.states[:, 1].tolist() == [0, 1, 1]  # the recorded states hold 0 there
    assert episode.actions[:, 0].tolist() == [0.4, 0.4, 0.4]


@pytest.mark.parametrize(
    ("moves", "reason"),
    [
        ([(0.5, OPEN), (0.5, OPEN)], "kept"),
        ([(0.5, OPEN), (0.5, OPEN), (0, OPEN)], "kept"),  # the trailing no-op is not executed
        ([(0.5, OPEN)], "no success at any step"),
        ([(1, OPEN), (1, OPEN)], "succeeded earlier, not at the last step"),
        ([(1, OPEN), (1, OPEN), (-1, OPEN)], "kept"),
        ([(0, OPEN), (0, CLOSE)], "only no-ops"),
    ],
)
def test_only_success_at_the_last_executed_step_counts(moves, reason):
    verdict, episode, _ = run(*moves)
    assert verdict.reason == reason
    assert verdict.kept == (reason == "kept") == (episode is not None)
