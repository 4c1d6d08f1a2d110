"""What is exported has the orientation, the state and the gripper's sign that the public LIBERO sets and lerobot have."""

import numpy as np

from worldvla.data.lerobot.catalogue import read_catalogue
from worldvla.data.lerobot.info import read_info
from worldvla.data.lerobot.reading import check_gripper, read_frames, read_steps
from worldvla.data.lerobot.writing import DatasetWriter
from worldvla.simulation.libero import Environment, init_states
from worldvla.simulation.tasks import tasks

PIXELS, STEPS = 96, 8


def test_frames_are_the_simulators_turned_by_180_degrees_and_plus_one_closes(tmp_path):
    from robosuite.utils.transform_utils import quat2axisangle

    task = tasks("mini", "goal")[0]
    actions = np.zeros((2 * STEPS, 7))
    actions[:, 6] = np.repeat([-1, 1], STEPS)
    with Environment(task, pixels=PIXELS, seed=0) as environment:
        environment.reset(init_states(task)[0])
        # As robosuite gives "agentview_image", which lerobot turns by [::-1, ::-1] (envs/libero.py, 0.6.1).
        raw = environment.robosuite.sim.render(width=PIXELS, height=PIXELS, camera_name="agentview")
        frames, states, robot = [], [], environment.proprioception()
        for action in actions:
            frames.append(environment.frame())
            robot = environment.proprioception()
            states.append(np.concatenate([robot["ee_states"], robot["gripper_states"]]))
            environment.step(action)
    first = robot["robot_states"]
    writer = DatasetWriter(tmp_path, form="image", fps=10, pixels=PIXELS, has_state=True, looks="simple")
    writer.write(task.language, np.stack(frames), actions, np.stack(states))
    writer.close()
    info = read_info(tmp_path)
    (entry,) = read_catalogue(info)
    assert np.array_equal(read_frames(info, entry)[0], raw[::-1, ::-1])
    steps = read_steps(info, entry)
    assert steps.state is not None
    # lerobot's observation.state: position, axis-angle of the quaternion x y z w, fingers (processor/env_processor.py).
    expected = np.concatenate([first[2:5], quat2axisangle(first[5:9].copy()), first[:2]])
    assert np.allclose(steps.state[-1], expected, atol=1e-6)
    gap = steps.state[:, 6] - steps.state[:, 7]
    assert gap[-1] < gap[STEPS] - 0.01
    check_gripper(info, [steps])
