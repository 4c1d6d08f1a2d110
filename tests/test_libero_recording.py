"""Demonstrations of LIBERO's tasks: the recorder makes what the filter keeps, whatever the seed of the fixtures."""

import numpy as np
import pytest
from libero_marks import LIBERO

from worldvla.data.filtering import replay
from worldvla.data.trajectories import Trajectory
from worldvla.simulation import recording
from worldvla.simulation.libero import Environment
from worldvla.simulation.tasks import tasks

pytestmark = LIBERO
SEED = 3


@pytest.mark.parametrize(("suite", "index"), [("spatial", 0), ("object", 5), ("goal", 8), ("long", 4)])
def test_what_the_recorder_makes_the_filter_keeps(suite, index):
    task = tasks("libero", suite)[index]
    with Environment(task, pixels=16, seed=SEED) as environment:
        recorded = [recording.record_demonstration(environment, SEED, demo) for demo in range(3)]
    with Environment(task, pixels=16, seed=SEED) as environment:
        verdicts = []
        for number, one in enumerate(recorded):
            verdict, episode = replay(environment, Trajectory(f"demo_{number}", one.actions, one.states))
            verdicts.append(verdict)
            if episode is not None and not verdict.num_noops:
                np.testing.assert_array_equal(episode.states, one.states)
    assert sum(verdict.kept for verdict in verdicts) >= 2, verdicts
