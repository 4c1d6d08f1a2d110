"""The embedded suites: in each, one scene and four instructions; the expert does what is asked, and nothing else counts."""

import itertools
import re

import numpy as np
import pytest

from worldvla.params.benchmarks import max_steps
from worldvla.simulation.commands import OPEN, command
from worldvla.simulation.expert import Expert
from worldvla.simulation.gallery import sheet
from worldvla.simulation.libero import Environment
from worldvla.simulation.mini import assets
from worldvla.simulation.mini.starts import TABLE_TOP, draw_start
from worldvla.simulation.mini.suites import INIT_STATE_SEED, KINDS, SUITES, MiniSuite, MiniTask, Thing
from worldvla.simulation.tasks import tasks

NEW = ["spatial", "object", "long"]
EVERY_SUITE = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)


def test_there_are_the_four_suites_of_libero():
    assert set(SUITES) == {"spatial", "object", "goal", "long"}
    assert len({kind.name for kind in KINDS}) == len(KINDS)


@EVERY_SUITE
def test_a_suite_has_four_instructions(suite: MiniSuite):
    suite_tasks = tasks("mini", suite.name)
    assert len({task.language for task in suite_tasks}) == 4
    assert [task.name for task in suite_tasks] == [task.language.replace(" ", "_") for task in suite_tasks]
    assert len({task.goals for task in suite.tasks}) == 4


@EVERY_SUITE
def test_tasks_differ_in_instruction_and_goal_alone(suite: MiniSuite):
    asked = r"\(:(language|obj_of_interest) [^()]*\)|\(:goal .*\)"
    scenes = {re.sub(asked, "", assets.bddl(suite, task)) for task in suite.tasks}
    assert len(scenes) == 1
    assert not re.search("language|interest|goal", scenes.pop())


def test_instructions_say_what_a_suite_varies():
    languages = {name: [task.language for task in suite.tasks] for name, suite in SUITES.items()}
    assert languages["spatial"][:3] == [
        "put the can next to the plate in the basket",
        "put the can next to the plate in the tray",
        "put the can next to the book in the basket",
    ]
    assert languages["object"] == [f"put the {item} in the basket" for item in ("can", "milk", "juice", "tea")]
    assert languages["long"][1] == "put the can in the basket and the milk in the tray"


def test_twins_are_two_objects_of_one_category():
    task = SUITES["spatial"].tasks[2]
    text = assets.bddl(SUITES["spatial"], task)
    assert "(:objects mini_can_1 mini_can_2 - mini_can mini_plate_1 - mini_plate" in text
    assert "(:goal (And (In mini_can_2 mini_basket_1_contain_region)))" in text


def test_two_goals_are_both_asked():
    task = SUITES["long"].tasks[1]
    text = assets.bddl(SUITES["long"], task)
    assert "(:obj_of_interest mini_can_1 mini_deep_basket_1 mini_milk_1 mini_deep_tray_1)" in text
    goals = "(In mini_can_1 mini_deep_basket_1_contain_region) (In mini_milk_1 mini_deep_tray_1_contain_region)"
    assert f"(:goal (And {goals}))" in text


def reach(thing: Thing) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners, float64 [2] each (m), of the box that a thing stays in, wherever it is placed."""
    half = np.max([np.abs(part.position[:2]) + part.half_size[:2] for part in thing.kind.parts], axis=0) + thing.jitter
    return thing.centre - half, thing.centre + half


@EVERY_SUITE
def test_things_never_overlap_and_items_are_within_reach(suite: MiniSuite):
    for one, other in itertools.combinations(suite.things, 2):
        (low, high), (other_low, other_high) = reach(one), reach(other)
        assert np.any(low > other_high) or np.any(high < other_low), (one.name, other.name)
    for goal in suite.goals:
        item = suite.thing(goal.item)
        assert item.centre[0] + item.jitter[0] <= 0.08  # beyond it the arm is stretched


@EVERY_SUITE
def test_an_item_fits_into_its_slot(suite: MiniSuite):
    for goal in suite.goals:
        item, region = suite.thing(goal.item), suite.thing(goal.container).region
        assert item.region is None
        assert region is not None
        assert np.all(np.abs(goal.slot) + item.kind.parts[0].half_size[:2] < region[1][:2])


def init_state(environment: Environment, number: int) -> np.ndarray:
    """Return a fixed initial state of the environment's task, float64 [n], without making all 50."""
    return draw_start(environment, environment.task.suite, [INIT_STATE_SEED, environment.task.index, number])


def reached(environment: Environment, task: MiniTask) -> list[bool]:
    """Return which goals of a task are reached, by LIBERO's predicates, in the environment of any task of its suite."""
    suite = SUITES[environment.task.suite]
    pairs = [(suite.thing(goal.item).instance, suite.thing(goal.container).instance) for goal in task.goals]
    return [environment.robosuite._eval_predicate(["in", item, f"{place}_contain_region"]) for item, place in pairs]


@pytest.mark.parametrize("suite", NEW)
def test_the_expert_solves_its_task_and_no_other(suite):
    """So the wrong twin, another object, and the first of two goals are no success."""
    for task, own in zip(tasks("mini", suite), SUITES[suite].tasks, strict=True):
        with Environment(task, pixels=16, seed=0) as environment:
            environment.reset(init_state(environment, 0))
            expert, success, first = Expert(environment), False, False
            for _ in range(max_steps("mini", suite)):
                success = environment.step(expert.act())
                assert success == all(reached(environment, own))
                assert [other.name for other in SUITES[suite].tasks if all(reached(environment, other))] == (
                    [task.name] if success else []
                )
                first |= reached(environment, own)[0] and not success
                if success:
                    break
            assert success, task.name
            assert first == (suite == "long"), task.name


def test_the_fingers_open_to_eleven_centimetres():
    with Environment(tasks("mini", "goal")[0], pixels=16, seed=0) as environment:
        environment.reset(init_state(environment, 0))
        for _ in range(5):
            environment.step(command((0, 0, 0.25), OPEN))
        left, right = environment.proprioception()["gripper_states"]
    assert left - right == pytest.approx(0.11, abs=0.002)


@EVERY_SUITE
def test_actions_that_solve_a_task_fail_from_most_other_initial_states(suite: MiniSuite):
    """So a policy has to look."""
    with Environment(tasks("mini", suite.name)[0], pixels=16, seed=0) as environment:
        environment.reset(init_state(environment, 0))
        expert, actions = Expert(environment), []
        while not actions or not environment.step(actions[-1]):
            actions.append(expert.act())
        solved = 0
        for number in range(1, 11):
            environment.reset(init_state(environment, number))
            solved += any([environment.step(action) for action in actions])
    assert solved < 5


def test_the_expert_goes_on_after_dropping_either_item():
    task = tasks("mini", "long")[1]
    with Environment(task, pixels=16, seed=0) as environment:
        environment.reset(init_state(environment, 1))
        expert, success = Expert(environment), False
        dropped = [environment.robosuite.obj_body_id[name] for name in ("mini_can_1", "mini_milk_1")]
        for _ in range(max_steps("mini", "long")):
            action = expert.act()
            if dropped and environment.robosuite.sim.data.body_xpos[dropped[0]][2] - TABLE_TOP[2] > 0.03:
                dropped.pop(0)
                for _ in range(3):
                    success = environment.step(command((0, 0, 0.25), OPEN))
            else:
                success = environment.step(action)
            if success:
                break
        assert not dropped
        assert success


def test_every_suite_is_a_libero_benchmark():
    from worldvla.simulation.mini import benchmark

    suites = [kind() for kind in benchmark.MiniBenchmark.__subclasses__()]
    assert {suite.name for suite in suites} == {f"mini_{name}" for name in SUITES}
    for suite in suites:
        assert suite.get_task_names() == [task.name for task in tasks("mini", suite.name.removeprefix("mini_"))]


def test_a_contact_sheet_has_a_row_for_two_tasks():
    image = sheet(["one", "two", "three"], [np.full((20, 40, 3), shade, np.uint8) for shade in (0, 90, 180)])
    assert image.size == (2 * 48 + 8, 2 * 50 + 8)
    assert image.getpixel((8 + 48, 8)) == (90, 90, 90)
    assert image.getpixel((8, 8 + 50)) == (180, 180, 180)
