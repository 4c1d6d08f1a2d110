"""Stage rollout: run a trained policy in the simulator, from initial states that no demonstration used."""

import functools
import json
import re
import shutil
from pathlib import Path

from worldvla.files import atomic_folder, file_digest, folder_digest, value_digest, write_json
from worldvla.params import strict
from worldvla.params.released import ORIGIN_FILE
from worldvla.params.rollout import RolloutParams
from worldvla.running import console
from worldvla.running.timing import write_timing
from worldvla.running.unfinished import work_folder
from worldvla.simulation import engine, libero, rendering
from worldvla.simulation.lanes import Episode, LanePool
from worldvla.simulation.libero_assets import ensure_assets
from worldvla.simulation.outcomes import describe, write_outcomes
from worldvla.simulation.rollout import record_videos, run_rollouts
from worldvla.simulation.tasks import chosen_tasks


def main(*, params: Path, model: Path, tokenizer: Path, out: Path, timing: Path) -> None:
    """Run every task from its first initial states and write one row per episode, and a few videos.

    Reads the section ``rollout`` of the resolved params, a trained model and the tokenizers. Writes ``episodes.parquet``,
    the digests of what made it (``made_of.json``) and MP4 files into ``out``, and the wall-clock figures into ``timing``.
    An interrupted run continues.
    """
    settings = strict.read(RolloutParams, params)
    rendering.choose_backend()  # what cannot render is said before workers start
    ensure_assets(settings.benchmark)
    # Not at the top: the simulators' processes import this module too, and need no torch.
    from worldvla.model.policy import ChameleonPolicy

    policy = ChameleonPolicy.load(model, tokenizer, settings.no_bin, settings.graphs, settings.environments)
    if (policy.chunk, policy.history) != (settings.chunk, settings.history):
        raise ValueError(
            f"{model}: the model was trained for {policy.chunk} actions and {policy.history} frames, {params} asks for "
            f"{settings.chunk} and {settings.history}. Run: dvc repro train@{model.name}"
        )
    episodes = [
        Episode(task, number, state)
        for task in chosen_tasks(settings.benchmark, settings.suite, settings.tasks)
        for number, state in enumerate(libero.init_states(task)[: settings.init_states_per_task])
    ]
    made_of = _made_of(params, model, tokenizer, engine.describe(settings.benchmark))
    work = work_folder("rollout", made_of)
    make_environment = functools.partial(
        libero.Environment, pixels=settings.pixels, seed=settings.seed, looks=settings.looks
    )
    with LanePool(make_environment, settings.environments) as pool, atomic_folder(out) as folder:
        outcomes, seconds = run_rollouts(
            policy,
            episodes,
            pool,
            history=settings.history,
            max_steps=settings.max_steps,
            checkpoint=work / "state.pickle",
        )
        write_outcomes(folder / "episodes.parquet", outcomes)
        write_json(folder / "made_of.json", made_of)
        videos = record_videos(pool, outcomes, settings.films_per_task, folder)
    shutil.rmtree(work, ignore_errors=True)
    write_timing(timing, seconds, episodes=len(episodes), episodes_per_s=round(len(episodes) / seconds, 3))
    print(describe(outcomes))
    print(f"wrote {out}: {len(outcomes)} episodes in {seconds:.0f} s, {len(videos)} videos. Next: dvc repro report")


def _made_of(params: Path, model: Path, tokenizer: Path, simulator: str) -> dict[str, str]:
    """Return the simulator and the sha256 of everything that decides the result, and where published weights come from.

    That of the training data is taken from the model's card.
    """
    published = model / ORIGIN_FILE
    origin = json.loads(published.read_text(encoding="utf-8")) if published.is_file() else None
    card = re.search(r"\| shards sha256 \| (\w+)", (model / "README.md").read_text(encoding="utf-8"))
    # Published weights have been verified, and 14 GB take their time.
    known = origin["sha256"] if origin else {}
    digests = [[path.name, known.get(path.name) or file_digest(path)] for path in sorted(model.iterdir())]
    return {
        "simulator": simulator,
        "params": file_digest(params),
        "data": card[1] if card else "unknown",
        "tokenizer": folder_digest(tokenizer),
        "weights": value_digest([pair for pair in digests if pair[0].endswith(".safetensors")]),
        "model": value_digest(digests),
        **({"released": "{repository}, {folder}, commit {commit}".format(**origin)} if origin else {}),
    }


if __name__ == "__main__":
    console.run(main)
