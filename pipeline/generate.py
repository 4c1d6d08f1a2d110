"""Stage generate: predict the validation clips from their first frame and their actions.

Writes token shards of predicted clips: ``true/`` with the recorded actions, ``shuffled/`` with the actions of all clips in
another order (a control: a model that does not use the action predicts it as well), and ``clips.parquet`` with the share of
codes that are right when everything before them is the truth, and ``made_of.json``, what its model was made of. Costs one forward of the model per code, for all clips of a
batch together; an interrupted run continues from ``work/generate/``.
"""

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from worldvla.arithmetic import ENVIRONMENT
from worldvla.data.clips import cut_clips, shuffle_actions
from worldvla.data.episodes import read_table, write_table
from worldvla.data.generated import CLIPS, MADE_OF, REMEDY
from worldvla.data.shards import TokenizedEpisode, read_shards, shard_path, write_shard
from worldvla.files import atomic_folder, folder_digest, value_digest, write_json
from worldvla.model import card
from worldvla.model.world import WorldModel
from worldvla.params import strict
from worldvla.params.generate import GenerateParams
from worldvla.running import console
from worldvla.running.job import Job, Unit, Work
from worldvla.running.timing import write_timing
from worldvla.running.unfinished import finish, seconds_of, work_folder
from worldvla.running.units import finished_units
from worldvla.stage_code import code_digest

TRUE, SHUFFLED, ACCURACY = "true", "shuffled", "accuracy"  # what a unit is about: two kinds of actions, or the truth
SUFFIX = ".result"  # a tar of clips, or a table


def main(*, params: Path, model: Path, tokenizer: Path, shards: Path, out: Path, timing: Path) -> None:
    """Predict the validation clips with one model."""
    settings = strict.read(GenerateParams, params)
    num_frames = max(settings.horizons)
    episodes = read_shards(shards / settings.split)
    clips = cut_clips(episodes, num_frames, str(shards / settings.split))
    if left_out := len(episodes) - len(clips):
        print(f"left out: {left_out} of {len(episodes)} episodes, shorter than {num_frames} frames")
    digests = [folder_digest(folder) for folder in (model, tokenizer, shards)]
    work = work_folder("generate", [dataclasses.asdict(settings), digests])
    members = {TRUE: clips, SHUFFLED: shuffle_actions(clips, settings.seed), ACCURACY: clips}
    starts = range(0, len(clips), settings.batch)
    batches = {
        (kind, index): (kind, some[start : start + settings.batch])
        for kind, some in members.items()
        for index, start in enumerate(starts)
    }
    job = Job(
        work,
        begin=world_model,
        arguments=(settings, model, tokenizer),
        units=tuple(Unit(f"{kind}-{index:06d}", batch, len(batch[1])) for (kind, index), batch in batches.items()),
        noun="clip",
        suffix=SUFFIX,
        environment=ENVIRONMENT,
        asks_model=True,
    )
    rows = []
    with finished_units(job) as results, atomic_folder(out) as folder:
        for (kind, index), result in zip(batches, results, strict=True):
            if kind == ACCURACY:
                rows += read_table(result, CLIPS, REMEDY)
            else:
                (folder / kind).mkdir(exist_ok=True)
                shutil.copyfile(result, shard_path(folder / kind, index))
        write_table(folder / "clips.parquet", rows, CLIPS)
        made_of = {"params": value_digest(dataclasses.asdict(settings)), "code": code_digest("generate")}
        write_json(folder / MADE_OF, card.made_of(model) | made_of | {"tokenizer": folder_digest(tokenizer)})
    seconds = seconds_of(work)
    write_timing(timing, seconds, frames=2 * len(clips) * (num_frames - 1))
    finish(work)
    accuracy = np.mean([row["code_accuracy"] for row in rows])
    print(
        f"wrote {out}: {len(clips)} clips of {num_frames} frames, with true and with shuffled actions, in {seconds:.0f} s; "
        f"{100 * accuracy:.1f} % of the codes right after the truth. Next: dvc repro video_metrics"
    )


@contextlib.contextmanager
def world_model(settings: GenerateParams, model: Path, tokenizer: Path) -> Iterator[Work]:
    """Yield what predicts a batch of clips, or says how much of them comes out right after the truth; in a worker."""
    world = WorldModel.load(model, tokenizer, settings.batch)

    def ask(batch: tuple[str, list[TokenizedEpisode]], path: Path, advance: Callable[[int], object]) -> None:
        kind, clips = batch
        if kind != ACCURACY:
            write_shard(path, predicted(world, clips, settings.reencode))
            return
        rows = []
        for clip in clips:
            share = world.accuracy(clip.codes, clip.actions)
            rows.append({"task": clip.task, "demo": clip.demo, "code_accuracy": share})
            advance(1)
        write_table(path, rows, CLIPS)

    yield ask


def predicted(world: WorldModel, clips: list[TokenizedEpisode], reencode: bool) -> list[TokenizedEpisode]:
    """Return clips as the model predicts them from their first frames and their actions."""
    actions = np.stack([clip.actions for clip in clips])
    videos = world.predict(np.stack([clip.codes[0] for clip in clips]), actions, reencode)
    return [dataclasses.replace(clip, codes=video) for clip, video in zip(clips, videos, strict=True)]


if __name__ == "__main__":
    console.run(main)
