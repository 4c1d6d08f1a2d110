"""Stage generate: predict the validation clips from their first frame and their actions.

Writes token shards of predicted clips: ``true/`` with the recorded actions, ``shuffled/`` with the actions of all clips in
another order (a control: a model that does not use the action predicts it as well), and ``clips.parquet`` with the share of
codes that are right when everything before them is the truth. Costs one forward of the model per code, for all clips of a
batch together; an interrupted run continues from ``work/generate/``.
"""

import dataclasses
import shutil
import time
from pathlib import Path

import numpy as np

from worldvla.data.clips import cut_clips, shuffle_actions
from worldvla.data.episodes import write_table
from worldvla.data.generated import CLIPS
from worldvla.data.shards import TokenizedEpisode, read_shards, shard_path, write_shard
from worldvla.files import atomic_folder, folder_digest
from worldvla.model.world import WorldModel
from worldvla.params import strict
from worldvla.params.generate import GenerateParams
from worldvla.running import console
from worldvla.running.timing import write_timing
from worldvla.running.unfinished import work_folder


def main(*, params: Path, model: Path, tokenizer: Path, shards: Path, out: Path, timing: Path) -> None:
    """Predict the validation clips with one model."""
    settings = strict.read(GenerateParams, params)
    world = WorldModel.load(model, tokenizer, settings.batch)
    num_frames = max(settings.horizons)
    episodes = read_shards(shards / settings.split)
    clips = cut_clips(episodes, num_frames, str(shards / settings.split))
    if left_out := len(episodes) - len(clips):
        print(f"left out: {left_out} of {len(episodes)} episodes, shorter than {num_frames} frames")
    digests = [folder_digest(folder) for folder in (model, tokenizer, shards)]
    work = work_folder("generate", [dataclasses.asdict(settings), digests])
    started = time.monotonic()
    with console.Progress(desc="generate", unit="clip", total=2 * len(clips)) as bar:
        for name, members in (("true", clips), ("shuffled", shuffle_actions(clips, settings.seed))):
            for index, first in enumerate(range(0, len(members), settings.batch)):
                batch = members[first : first + settings.batch]
                path = shard_path(work / name, index)
                if not path.exists():
                    write_shard(path, predicted(world, batch, settings.reencode))
                bar.update(len(batch))
    accuracy = [world.accuracy(clip.codes, clip.actions) for clip in clips]
    seconds = time.monotonic() - started
    with atomic_folder(out) as folder:
        # What a kill left half-written stays behind.
        shutil.copytree(work, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".partial-*"))
        rows = [
            {"task": clip.task, "demo": clip.demo, "code_accuracy": share}
            for clip, share in zip(clips, accuracy, strict=True)
        ]
        write_table(folder / "clips.parquet", rows, CLIPS)
    shutil.rmtree(work)
    write_timing(timing, seconds, frames=2 * len(clips) * (num_frames - 1))
    print(
        f"wrote {out}: {len(clips)} clips of {num_frames} frames, with true and with shuffled actions, in {seconds:.0f} s; "
        f"{100 * np.mean(accuracy):.1f} % of the codes right after the truth. Next: dvc repro video_metrics"
    )


def predicted(world: WorldModel, clips: list[TokenizedEpisode], reencode: bool) -> list[TokenizedEpisode]:
    """Return clips as the model predicts them from their first frames and their actions."""
    actions = np.stack([clip.actions for clip in clips])
    videos = world.predict(np.stack([clip.codes[0] for clip in clips]), actions, reencode)
    return [dataclasses.replace(clip, codes=video) for clip, video in zip(clips, videos, strict=True)]


if __name__ == "__main__":
    console.run(main)
