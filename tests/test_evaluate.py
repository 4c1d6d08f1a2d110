"""The client that steps the environment itself: when an episode ends, and what the policy is shown."""

from pathlib import Path

import numpy as np
import pytest

from integrations.openpi import evaluate
from worldvla.serving.server import NO_ACTION
from worldvla.simulation.lanes import Episode
from worldvla.simulation.milestones import Milestones
from worldvla.simulation.tasks import Task

EPISODE = Episode(Task("mini", "goal", 0, "push", "push it", Path("push.bddl")), 3, np.zeros(2))
MAX_STEPS = 8


class Environment:
    """Shows the number of its step, and is solved by one of them."""

    def __init__(self, solved_at: int | None = None) -> None:
        self.solved_at, self.actions = solved_at, []

    def reset(self, state):
        self.actions = []

    def step(self, action):
        self.actions.append(action)
        return len(self.actions) == self.solved_at

    def milestones(self):
        return Milestones(1, len(self.actions))

    def frame(self, pixels=2):
        return np.full((pixels, pixels, 3), len(self.actions), np.uint8)


class Policy:
    """Answers with chunks of three actions, which are numbered; a text is a server's error."""

    def __init__(self, *answers: str | None) -> None:
        self.answers, self.shown = list(answers), []

    def get_server_metadata(self):
        return {"image_key": "observation/image", "prompt_key": "prompt", "history": 2}

    def infer(self, observation):
        self.shown.append(observation["observation/image"][:, 0, 0, 0].tolist())
        assert observation["prompt"] == "push it"
        error = self.answers.pop(0) if self.answers else None
        if error:
            raise RuntimeError(error)
        return {"actions": np.full((3, 7), len(self.shown), np.float64)}


def run(policy: Policy, environment: Environment, is_filmed: bool = False):
    return evaluate.run_episode(policy, environment, EPISODE, MAX_STEPS, is_filmed)  # pyright: ignore[reportArgumentType]


def test_it_ends_out_of_steps_and_the_policy_sees_the_frames_of_the_last_steps():
    policy, environment = Policy(), Environment()
    outcome = run(policy, environment)
    assert (outcome.success, outcome.num_steps, outcome.policy_failures) == (False, MAX_STEPS, 0)
    assert policy.shown == [[0], [2, 3], [5, 6]]
    assert [action[0] for action in environment.actions] == [1, 1, 1, 2, 2, 2, 3, 3]


def test_it_ends_at_the_first_success_within_a_chunk():
    outcome = run(Policy(), Environment(solved_at=4), is_filmed=True)
    assert (outcome.success, outcome.num_steps, outcome.milestones) == (True, 4, Milestones(1, 4))
    assert outcome.film is not None
    assert outcome.film[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_an_answer_that_is_no_action_is_a_failure_of_the_policy_and_whatever_else_the_server_says_an_error():
    outcome = run(Policy(None, NO_ACTION), Environment())
    assert (outcome.success, outcome.num_steps, outcome.policy_failures) == (False, 3, 1)
    with pytest.raises(RuntimeError, match="shows 9 x 9 pixels"):
        run(Policy("observation: shows 9 x 9 pixels"), Environment())


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    with pytest.raises(SystemExit, match="is there already; expected a folder to make"):
        evaluate.main(["params.yaml", "--out", str(tmp_path)])
