"""A fake simulator, and what is recorded of it."""

import numpy as np

from worldvla.data.trajectories import Trajectory

OPEN, CLOSE = -1.0, 1.0
TABLE = 100


class Slider:
    """A fake simulator: dimension 0 pushes a block; the task is solved while the block lies in [goal, goal + 1).

    A block farther than ``TABLE`` from the middle is off the table: there the simulator is of no more use, ever.
    """

    def __init__(self, goal):
        self.goal = goal
        self.position = 0.0
        self.steps = []
        self.broken = False

    def reset(self, state):
        self.position = state[0]
        self.steps = []
        if self.broken or abs(self.position) > TABLE:
            self.broken = True
            raise RuntimeError("push step 1:\nthe simulation became unstable.")

    def step(self, action):
        self.position += action[0]
        self.steps.append(action)
        return self.goal <= self.position < self.goal + 1

    def frame(self):
        return np.full((16, 16, 3), round(self.position * 10) % 256, np.uint8)

    def state(self):
        return np.append(self.position, np.ones(19))

    def proprioception(self):
        widths = {"robot_states": 9, "ee_states": 6, "gripper_states": 2, "joint_states": 7, "ee_pos": 3, "ee_ori": 3}
        return {name: np.full(width, self.position) for name, width in widths.items()}


def trajectory(*moves, start=0.0):
    actions = np.array([[motion, 0, 0, 0, 0, 0, gripper] for motion, gripper in moves])
    return Trajectory("demo_7", actions, np.tile(np.append(start, np.zeros(19)), (len(moves), 1)))
