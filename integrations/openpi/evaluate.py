"""An evaluation as by a harness of one's own: it steps LIBERO's environment itself and asks a server what to do.

    ./run serve action_chunk_mask-goal-1
    .venv/bin/python -m integrations.openpi.evaluate data/resolved/action_chunk_mask-goal-1.yaml --out evaluated

The episodes are those of the run's rollout stage: its tasks, initial states and steps. It prints the success rates with their
95 % intervals, and writes ``episodes.parquet`` and the films as the stage does; docs/serving.md says when they are the same.

The client is openpi's own. To copy from: ``run_episode``, with any environment that shows the agentview upright.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from worldvla.arithmetic import SAME_ARITHMETIC

os.environ.update(SAME_ARITHMETIC)  # before numpy is loaded

import numpy as np
from openpi_client.websocket_client_policy import WebsocketClientPolicy

from worldvla.files import atomic_folder
from worldvla.params import strict
from worldvla.params.rollout import RolloutParams
from worldvla.simulation import libero, rendering
from worldvla.simulation.lanes import Episode
from worldvla.simulation.libero_assets import ensure_assets
from worldvla.simulation.outcomes import Outcome, describe, join_units, write_unit
from worldvla.simulation.tasks import chosen_tasks
from worldvla.simulation.videos import VIDEO_PIXELS

NO_ACTION = "is no action"  # in the server's words for an answer that is none


def run_episode(
    policy: WebsocketClientPolicy, environment: libero.Environment, episode: Episode, max_steps: int, is_filmed: bool
) -> Outcome:
    """Run an episode to its first success, ``max_steps`` or an answer that is no action; chunks are executed open loop.

    Raises:
        RuntimeError: the server refuses an observation, in its words.
    """
    told = policy.get_server_metadata()
    environment.reset(episode.state)
    frames = [environment.frame()]
    film = [environment.frame(VIDEO_PIXELS)] if is_filmed else []
    num_steps, failures, success = 0, 0, False
    while not success and not failures and num_steps < max_steps:
        # The frames of the last steps, of which there are fewer when an episode begins.
        shown = np.stack(frames[-told["history"] :])
        observation = {told["image_key"]: shown, told["prompt_key"]: episode.task.language, "episode_id": str(episode)}
        try:
            actions = policy.infer(observation)["actions"]
        except RuntimeError as error:
            if NO_ACTION not in str(error):
                raise
            actions, failures = [], 1
        for action in actions[: max_steps - num_steps]:
            success = environment.step(action)
            num_steps += 1
            frames.append(environment.frame())
            if is_filmed:
                film.append(environment.frame(VIDEO_PIXELS))
            if success:
                break
    return Outcome(episode, success, num_steps, failures, environment.milestones(), np.stack(film) if film else None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate a served policy and print its success rates."""
    parser = argparse.ArgumentParser(description="Evaluate a served policy.")
    parser.add_argument("params", type=Path, help="which episodes: a run's file of data/resolved")
    parser.add_argument("--out", type=Path, required=True, help="folder for the episodes and their films")
    parser.add_argument("--host", default="127.0.0.1", help="of the server (default: this machine)")
    parser.add_argument("--port", type=int, default=8000, help="of the server (default: 8000)")
    given = parser.parse_args(arguments)
    if given.out.exists():
        sys.exit(f"evaluate: {given.out} is there already; expected a folder to make; name another: --out")
    params = strict.read(RolloutParams, given.params)
    rendering.choose_backend()
    ensure_assets(params.benchmark)
    policy = WebsocketClientPolicy(given.host, given.port)
    pixels, _ = policy.get_server_metadata()["image_size"]
    tasks = chosen_tasks(params.benchmark, params.suite, params.tasks)
    outcomes = []
    for task in tasks:
        states = libero.init_states(task)[: params.init_states_per_task]
        with libero.Environment(task, pixels=pixels, seed=params.seed, looks=params.looks) as environment:
            for number, state in enumerate(states):
                is_filmed = number < params.films_per_task
                outcomes.append(
                    run_episode(policy, environment, Episode(task, number, state), params.max_steps, is_filmed)
                )
                if outcomes[-1].policy_failures:  # which the server ends the connection with
                    policy = WebsocketClientPolicy(given.host, given.port)
    with TemporaryDirectory() as scratch, atomic_folder(given.out) as folder:
        write_unit(Path(scratch) / "episodes.parquet", outcomes)
        rows = join_units([Path(scratch) / "episodes.parquet"], folder)
    print(describe(rows, {task.name: task.language for task in tasks}))


if __name__ == "__main__":
    main()
