"""The model for vla-eval, asked by the harness's own client over its own server."""

import inspect

import anyio
import numpy as np
import pytest
from served import BATCH, alone
from toy_policy import CHUNK, HISTORY, TASKS, frame, toy_model
from vla_eval.cli.config_loader import load_config
from vla_eval.connection import Connection
from vla_eval.model_servers.serve import serve_async

from benchmarks.project_copy import REPOSITORY
from integrations.vla_eval.server import WorldVLAServer


@pytest.fixture
def model(monkeypatch):
    model = toy_model()
    monkeypatch.setattr("integrations.vla_eval.server.load_model", lambda *_, **__: (model, None))
    return model


def served(converse) -> None:
    """Run ``converse(url)`` against a server of the harness."""

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            port = await tasks.start(serve_async, WorldVLAServer("toy", batch=BATCH), "127.0.0.1", 0)
            with anyio.fail_after(30):
                await converse(f"ws://127.0.0.1:{port}")
            tasks.cancel_scope.cancel()

    anyio.run(run)


def observation(seed: int, task: str) -> dict[str, object]:
    return {"images": {"agentview": frame(seed)}, "task_description": task}


async def episode(url: str, task: str, seeds: range) -> np.ndarray:
    """Return the actions of an episode, one per step."""
    async with Connection(url) as connection:
        await connection.start_episode({"name": task})
        actions = [(await connection.act(observation(seed, task)))["actions"] for seed in seeds]
        await connection.end_episode({})
    return np.stack(actions)


def test_every_step_is_seen_and_a_chunk_is_executed_before_the_next_query(model):
    steps = 2 * CHUNK
    first, second = alone(model, (TASKS[0], [0]), (TASKS[0], list(range(CHUNK - HISTORY + 1, CHUNK + 1))))

    async def converse(url: str) -> None:
        for _ in range(2):  # an episode begins without the one before
            actions = await episode(url, TASKS[0], range(steps))
            assert np.array_equal(actions, np.concatenate([first, second]).astype(np.float32))

    served(converse)


def test_many_episodes_at_once_get_what_each_would_get_alone(model):
    together: dict[int, np.ndarray] = {}

    async def converse(url: str) -> None:
        async def one(number: int) -> None:
            together[number] = await episode(url, TASKS[number % 3], range(100 * number, 100 * number + 4))

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(one, number)
        for number in range(8):
            again = await episode(url, TASKS[number % 3], range(100 * number, 100 * number + 4))
            assert np.array_equal(again, together[number])

    served(converse)


def test_the_harness_is_told_the_conventions_and_a_wrong_image_ends_nothing(model):
    async def converse(url: str) -> None:
        async with Connection(url) as connection:
            assert connection.server_info["action_spec"]["gripper"]["format"] == "binary_close_positive"
            await connection.start_episode({"name": TASKS[0]})
            with pytest.raises(Exception, match="shows 9 x 9 pixels; expected 8 x 8"):
                await connection.act({"images": {"agentview": np.zeros((9, 9, 3), np.uint8)}, "task_description": "x"})
            assert (await connection.act(observation(0, TASKS[0])))["actions"].shape == (7,)

    served(converse)


def test_the_configuration_names_the_file_and_arguments_that_it_has():
    content = load_config(str(REPOSITORY / "integrations/vla_eval/worldvla.yaml"))
    assert (REPOSITORY / content["script"]).samefile(inspect.getfile(WorldVLAServer))
    inspect.signature(WorldVLAServer).bind(**content["args"])
