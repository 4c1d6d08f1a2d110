"""Stage rollout: run a trained policy in the simulator, from initial states that no demonstration used.

Writes ``episodes.parquet``, the digests of what made it (``made_of.json``) and MP4 files into ``out``, and the wall-clock
figures into ``timing``. A unit is ``rollout.environments`` episodes, which share a batch of the policy; what an interrupted
run has finished of them stays in ``work/rollout/``.
"""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldvla.arithmetic import ENVIRONMENT
from worldvla.files import atomic_folder, file_digest, folder_digest, value_digest, write_json
from worldvla.model import card
from worldvla.params import strict
from worldvla.params.released import ORIGIN_FILE
from worldvla.params.rollout import RolloutParams
from worldvla.running import console
from worldvla.running.cores import num_cores
from worldvla.running.job import Job, Unit, Work
from worldvla.running.timing import write_timing
from worldvla.running.unfinished import finish, seconds_of, work_folder
from worldvla.running.units import finished_units
from worldvla.simulation import engine, libero, rendering
from worldvla.simulation.lanes import Episode, LanePool
from worldvla.simulation.libero_assets import ensure_assets
from worldvla.simulation.outcomes import describe, join_units, write_unit
from worldvla.simulation.rollout import run_episodes
from worldvla.simulation.tasks import chosen_tasks
from worldvla.stage_code import code_digest

if TYPE_CHECKING:
    from worldvla.model.policy import ChameleonPolicy

Load = Callable[[Any, Path, Path], "ChameleonPolicy"]  # from settings, a model and its tokenizers


def main(*, params: Path, model: Path, tokenizer: Path, out: Path, timing: Path) -> None:
    """Run every task from its first initial states and write one row per episode, and a few videos."""
    roll_out(strict.read(RolloutParams, params), load_policy, "rollout", model, tokenizer, out, timing)


def roll_out(
    settings: RolloutParams, load: Load, stage: str, model: Path, tokenizer: Path, out: Path, timing: Path
) -> None:
    """Do what the stage ``stage`` does with the policy that ``load`` makes of the settings, a model and its tokenizers."""
    rendering.choose_backend()  # what cannot render is said before workers start
    ensure_assets(settings.benchmark)
    tasks = chosen_tasks(settings.benchmark, settings.suite, settings.tasks)
    episodes = [
        Episode(task, number, state)
        for task in tasks
        for number, state in enumerate(libero.init_states(task)[: settings.init_states_per_task])
    ]
    made_of = _made_of(settings, model, tokenizer, engine.describe(settings.benchmark), stage)
    work = work_folder(stage, made_of)
    starts = range(0, len(episodes), settings.environments)
    batches = {f"{start:06d}": episodes[start : start + settings.environments] for start in starts}
    job = Job(
        work,
        begin=policy_in_simulators,
        arguments=(load, settings, model, tokenizer),
        units=tuple(Unit(name, batch, len(batch)) for name, batch in batches.items()),
        noun="episode",
        suffix=".parquet",
        asks_model=True,
        environment=ENVIRONMENT,
    )
    with finished_units(job) as parts, atomic_folder(out) as folder:
        rows = join_units(parts, folder)
        write_json(folder / "made_of.json", made_of)
        num_videos = len(list(folder.glob("*.mp4")))
    seconds = seconds_of(work)
    write_timing(timing, seconds, episodes=len(episodes), episodes_per_s=round(len(episodes) / seconds, 3))
    finish(work)
    print(describe(rows, {task.name: task.language for task in tasks}))
    print(f"wrote {out}: {len(rows)} episodes in {seconds:.0f} s, {num_videos} videos. Next: dvc repro report")


def load_policy(settings: RolloutParams, model: Path, tokenizer: Path) -> "ChameleonPolicy":
    """Load the trained policy; in a worker."""
    # Not at the top: processes of simulators and the stage's own need no torch.
    from worldvla.model.policy import ChameleonPolicy

    return ChameleonPolicy.load(model, tokenizer, settings.no_bin, settings.graphs, settings.environments)


@contextlib.contextmanager
def policy_in_simulators(load: Load, settings: RolloutParams, model: Path, tokenizer: Path) -> Iterator[Work]:
    """Yield what runs a batch of episodes; in a worker."""
    rendering.choose_backend()
    policy = load(settings, model, tokenizer)
    if (policy.chunk, policy.history) != (settings.chunk, settings.history):
        raise ValueError(
            f"{model}: the model was trained for {policy.chunk} actions and {policy.history} frames, the params ask for "
            f"{settings.chunk} and {settings.history}. Run: ./run reproduce"
        )
    make_environment = functools.partial(
        libero.Environment, pixels=settings.pixels, seed=settings.seed, looks=settings.looks
    )
    # With one core the policy and the simulators only take turns. A process that uses a GPU is not one to render in.
    alone = num_cores() == 1 and not policy.on_gpu
    if alone:
        rendering.forget_hidden_gpus()
    with LanePool(make_environment, 0 if alone else min(num_cores(), settings.environments)) as pool:

        def run_batch(batch: list[Episode], path: Path, advance: Callable[[int], object]) -> None:
            outcomes = run_episodes(
                policy,
                batch,
                pool,
                history=settings.history,
                max_steps=settings.max_steps,
                films_per_task=settings.films_per_task,
                advance=advance,
            )
            write_unit(path, outcomes)

        yield run_batch


def _made_of(settings: RolloutParams, model: Path, tokenizer: Path, simulator: str, stage: str) -> dict[str, str]:
    """Return the simulator and the sha256 of everything that decides the result, and where published weights come from.

    What is the model's, besides its weights, is taken from its card.
    """
    published = model / ORIGIN_FILE
    origin = json.loads(published.read_text(encoding="utf-8")) if published.is_file() else None
    # Published weights have been verified, and 14 GB take their time.
    known = origin["sha256"] if origin else {}
    digests = [[path.name, known.get(path.name) or file_digest(path)] for path in sorted(model.iterdir())]
    return {
        "simulator": simulator,
        "params": value_digest(dataclasses.asdict(settings)),
        "code": code_digest(stage),
        **card.made_of(model),
        "tokenizer": folder_digest(tokenizer),
        "weights": value_digest([pair for pair in digests if pair[0].endswith(".safetensors")]),
        "model": value_digest(digests),
        **({"released": "{repository}, {folder}, commit {commit}".format(**origin)} if origin else {}),
    }


if __name__ == "__main__":
    console.run(main)
