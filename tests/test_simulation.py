"""The simulator gives the same bits always and everywhere, the expert succeeds, and its recordings can be replayed."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from worldvla.data.filtering import replay
from worldvla.data.trajectories import Trajectory
from worldvla.params.benchmarks import max_steps
from worldvla.simulation import recording
from worldvla.simulation.commands import command
from worldvla.simulation.expert import Expert
from worldvla.simulation.libero import DUMMY_ACTION, Environment, init_states
from worldvla.simulation.mini.starts import draw_start
from worldvla.simulation.mini.suites import GOAL
from worldvla.simulation.processes import spawn_context
from worldvla.simulation.tasks import tasks

TASKS = tasks("mini", "goal")


@pytest.fixture(scope="module")
def environment():
    with Environment(TASKS[0], pixels=96, seed=0) as environment:
        yield environment


def episode_digest(environment: Environment, state: np.ndarray) -> str:
    """Reset and run 20 actions; digest all states and the pictures."""
    digest = hashlib.sha256()
    environment.reset(state)
    for action in np.random.default_rng(1).uniform(-1, 1, (20, 7)):
        digest.update(environment.state().tobytes())
        digest.update(environment.frame().tobytes())
        environment.step(action)
    return digest.hexdigest()


def fresh_episode_digest(task_index: int, state: np.ndarray) -> str:
    with Environment(TASKS[task_index], pixels=96, seed=0) as fresh:
        return episode_digest(fresh, state)


def test_a_reset_gives_the_bits_of_a_new_environment_whatever_was_before_and_in_another_process(environment):
    state = init_states(TASKS[0])[3]
    with spawn_context().Pool(1) as pool:
        elsewhere = pool.apply_async(fresh_episode_digest, (0, state))
        expected = fresh_episode_digest(0, state)
        for steps in (0, 7):
            environment.reset(init_states(TASKS[0])[5])
            for _ in range(steps):
                environment.step(np.array([1, -1, -1, 0.3, 0, 0, 1]))
            assert episode_digest(environment, state) == expected
        assert elsewhere.get() == expected


def home_then(environment: Environment, state: np.ndarray) -> None:
    """Begin as stock LIBERO does: the controller's first goal is relative to the arm at home."""
    environment.place(0)
    environment.robosuite.sim.set_state_from_flattened(state)
    environment.robosuite.sim.forward()


@pytest.mark.parametrize("begin", [Environment.restore, home_then])
def test_a_step_has_the_bits_of_robosuites_own(environment, begin):
    with Environment(TASKS[0], pixels=96, seed=0) as stock:
        for number in (3, 4):  # a reset brings a new controller
            begin(environment, init_states(TASKS[0])[number])
            begin(stock, init_states(TASKS[0])[number])
            for action in np.random.default_rng(1).uniform(-1.2, 1.2, (40, 7)):
                success = environment.step(action)
                stock.robosuite.step(action)
                assert success == stock.robosuite._check_success()
                np.testing.assert_array_equal(environment.state(), stock.state())
                np.testing.assert_array_equal(environment.robosuite.sim.data.ctrl, stock.robosuite.sim.data.ctrl)
                np.testing.assert_array_equal(environment.frame(), stock.frame())


def test_environments_of_one_process_do_not_disturb_each_other(environment):
    environment.restore(init_states(TASKS[0])[0])
    before = environment.frame()
    with Environment(TASKS[3], pixels=64, seed=0) as other:
        other.restore(init_states(TASKS[3])[1])
        frame = other.frame()
        assert frame.shape == (64, 64, 3)
        np.testing.assert_array_equal(environment.frame(), before)
        np.testing.assert_array_equal(other.frame(), frame)
    np.testing.assert_array_equal(environment.frame(), before)


def test_frames_are_upright_with_the_robots_left_on_the_left(environment):
    environment.reset(init_states(TASKS[0])[0])
    red, green, blue = np.moveaxis(environment.frame(pixels=128).astype(int), -1, 0)
    places = {
        "can": (red > 150) & (green < 80) & (blue < 80),
        "milk": (blue > 150) & (red < 80),
        "hand": (red > 150) & (green < 110) & (blue > 150),
    }
    rows, columns = ({name: np.nonzero(mask)[axis].mean() for name, mask in places.items()} for axis in (0, 1))
    assert rows["hand"] < min(rows["can"], rows["milk"])
    assert columns["milk"] < columns["can"]


def test_the_scene_rests_at_the_start(environment):
    for state in init_states(TASKS[0])[:3]:
        environment.restore(state)
        hand = environment.proprioception()["ee_pos"]
        environment.reset(state)
        assert np.abs(environment.proprioception()["ee_pos"] - hand).max() < 2e-3
        moved = np.abs(environment.state() - state)[1:]
        assert moved[:7].max() < 0.01  # joints (rad): the posture relaxes while the hand stays
        assert moved[7:].max() < 5e-3


def test_every_task_has_50_different_fixed_initial_states_and_no_demonstration_starts_from_one(environment):
    states = {task.name: init_states(task) for task in TASKS}
    together = np.concatenate(list(states.values()))
    assert together.shape == (200, len(environment.state()))
    assert len(np.unique(together, axis=0)) == 200
    start = recording.record_demonstration(environment, seed=0, demo=0).states[0]
    assert np.abs(together - start).max(1).min() > 1e-3


def test_tasks_are_named_as_in_libero():
    assert [task.name for task in TASKS] == [
        "put_the_can_in_the_basket",
        "put_the_can_in_the_tray",
        "put_the_milk_in_the_basket",
        "put_the_milk_in_the_tray",
    ]
    assert TASKS[2].language == "put the milk in the basket"
    assert "(In mini_milk_1 mini_basket_1_contain_region)" in TASKS[2].bddl_file.read_text()
    with pytest.raises(ValueError, match=r"benchmark is 'real'; known: mini, libero"):
        tasks("real", "goal")
    with pytest.raises(
        ValueError, match=r"suite 'kitchen' is not in the benchmark 'mini'; it has: spatial, object, goal, long"
    ):
        tasks("mini", "kitchen")


def test_the_suite_is_a_libero_benchmark():
    from worldvla.simulation.mini.benchmark import MINI_GOAL

    benchmark = MINI_GOAL()
    assert benchmark.get_task_names() == [task.name for task in TASKS]
    assert Path(benchmark.get_task_bddl_file_path(1)) == TASKS[1].bddl_file
    np.testing.assert_array_equal(benchmark.get_task_init_states(1), init_states(TASKS[1]))


def test_a_command_that_is_not_finite_is_refused(environment):
    environment.reset(init_states(TASKS[0])[0])
    environment.step(DUMMY_ACTION)
    with pytest.raises(ValueError, match=r"mini goal/put_the_can_in_the_basket step 1: action\[6\] is nan; expected"):
        environment.step(np.array([0, 0, 0, 0, 0, 0, np.nan]))


def test_an_unstable_simulation_is_an_error(environment):
    environment.reset(init_states(TASKS[0])[0])
    environment.robosuite.sim.data.qvel[:] = np.nan
    with pytest.raises(RuntimeError, match="the simulation became unstable"):
        environment.step(DUMMY_ACTION)


@pytest.mark.parametrize("place", ["qpos", "qvel"])
def test_numbers_out_of_all_bounds_are_an_unstable_simulation(environment, place):
    environment.reset(init_states(TASKS[0])[0])
    getattr(environment.robosuite.sim.data, place)[9] = 1e11
    with pytest.raises(RuntimeError, match="the simulation became unstable"):
        environment.step(DUMMY_ACTION)


def test_what_mujoco_gives_up_on_names_the_step(environment, monkeypatch):
    import mujoco

    def give_up(action):
        raise mujoco.FatalError("mj_stackAlloc: insufficient memory")

    environment.reset(init_states(TASKS[0])[0])
    monkeypatch.setattr(environment._stepper, "step", give_up)
    with pytest.raises(RuntimeError, match=r"basket step 1: the simulation broke down \(mj_stackAlloc: insufficient"):
        environment.step(DUMMY_ACTION)


def test_importing_the_module_imports_no_simulator():
    code = "import sys, worldvla.simulation.libero, worldvla.simulation.tasks as t; t.tasks('libero', 'goal'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"robosuite", "mujoco", "libero", "torch"} & set(loaded)


@pytest.mark.parametrize("index", range(4))
def test_the_expert_succeeds(index):
    with Environment(TASKS[index], pixels=16, seed=0) as environment:
        for placement in range(3):
            environment.reset(draw_start(environment, "goal", [9, index, placement]))
            expert = Expert(environment)
            assert any(environment.step(expert.act()) for _ in range(max_steps("mini", "goal")))


def test_commands_are_quarters_without_rotation():
    np.testing.assert_array_equal(command((0.3, -0.9, 0.05), 1.0), [0.25, -1.0, 0, 0, 0, 0, 1])


def test_a_recording_replays_exactly_and_still_succeeds_without_its_noops(environment):
    demo = next(
        demo
        for demo in (recording.record_demonstration(environment, 0, number) for number in range(20))
        if (np.abs(demo.actions[:, :6]).max(1) == 0).any()
    )
    environment.reset(demo.states[0])
    for step, action in enumerate(demo.actions):
        if step:  # the first is from before the scene settled
            np.testing.assert_array_equal(environment.state(), demo.states[step])
        environment.step(action)
    verdict, episode = replay(environment, Trajectory("demo_0", demo.actions, demo.states))
    assert verdict.kept
    assert verdict.num_noops > 0
    assert episode is not None


def test_containers_hold_what_is_asked():
    for goal in GOAL.goals:
        assert GOAL.thing(goal.item).region is None
        assert GOAL.thing(goal.container).region is not None
