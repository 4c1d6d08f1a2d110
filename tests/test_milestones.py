"""How far episodes come, by contacts and heights in the simulator itself."""

import itertools

import numpy as np
import pytest
from libero_marks import needs_libero

from worldvla.params.benchmarks import max_steps
from worldvla.simulation.commands import CLOSE
from worldvla.simulation.expert import Expert
from worldvla.simulation.libero import DUMMY_ACTION, Environment, init_states
from worldvla.simulation.libero_expert.expert import LiberoExpert
from worldvla.simulation.milestones import Milestones
from worldvla.simulation.tasks import tasks


@pytest.fixture(scope="module")
def long():
    with Environment(tasks("mini", "long")[1], pixels=16, seed=0) as environment:
        yield environment


def start(environment: Environment) -> Expert:
    environment.reset(init_states(environment.task)[0])
    return Expert(environment)


def test_each_thing_is_touched_then_grasped_then_lifted(long):
    expert, found = start(long), [long.milestones()]
    for _ in range(max_steps("mini", "long")):
        success = long.step(expert.act())
        found.append(long.milestones())
        if success:
            break
    assert found[0] == Milestones(2, 0, 0, 0)
    assert found[-1] == Milestones(2, 2, 2, 2)
    assert Milestones(2, 1, 1, 1) in found  # the second thing has not been reached yet
    for before, after in itertools.pairwise(found):
        assert all(np.greater_equal(after, before))
        assert after.touched >= after.grasped >= after.lifted


def test_a_hand_that_stays_away_reaches_nothing(long):
    start(long)
    for _ in range(10):
        long.step(DUMMY_ACTION)
    assert long.milestones() == Milestones(2, 0, 0, 0)


def test_a_closed_hand_touches_and_lifts_nothing(long):
    expert = start(long)
    for _ in range(40):
        long.step(np.append(expert.act()[:6], CLOSE))
    assert long.milestones().touched == 1
    assert long.milestones().lifted == 0


def test_every_episode_begins_anew(long):
    start(long)
    assert long.milestones() == Milestones(2, 0, 0, 0)
    long.restore(long.state())
    long.step(DUMMY_ACTION)  # of no episode: nothing is watched
    assert long.milestones() == Milestones()


@needs_libero
@pytest.mark.parametrize(
    ("suite", "index", "expected"),
    [
        pytest.param("spatial", 4, Milestones(1, 1, 1, 1), id="a bowl by its rim"),
        pytest.param("goal", 0, Milestones(0, 0, 0, 0), id="a drawer is no thing that is carried"),
    ],
)
def test_what_libero_s_expert_does_is_seen(suite, index, expected):
    task = tasks("libero", suite)[index]
    with Environment(task, pixels=16, seed=0) as environment:
        environment.reset(init_states(task)[0])
        expert = LiberoExpert(environment)
        assert any(environment.step(expert.act()) for _ in range(max_steps("libero", suite)))
        assert environment.milestones() == expected
