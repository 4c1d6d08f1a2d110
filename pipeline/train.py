"""Stage train: token shards and a suite's tokenizers -> a model.

Writes a folder that transformers opens too, with the training curve and a model card, and the wall clock into a file of its own.
An interrupted training goes on where it stopped. One of several processes (machine.yaml, torchrun) gives the same model to rounding. Cost: benchmarks/README.md.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

from worldvla.data.hub import published
from worldvla.data.hub.checkpoint import CONFIG, fetch_checkpoint
from worldvla.data.hub.listing import pinned
from worldvla.data.shards import TokenizedEpisode, read_shards
from worldvla.data.splits import SPLITS
from worldvla.files import atomic_folder, folder_digest, value_digest
from worldvla.model.batches import Windows
from worldvla.model.card import LINES, recipe
from worldvla.model.initial import check
from worldvla.model.ranks import ALONE, Ranks, joined, one_after_another
from worldvla.model.saving import shares, shown, write_model
from worldvla.model.settings import ModelSettings
from worldvla.model.training import Spread, train
from worldvla.params import strict
from worldvla.params.train import TrainParams
from worldvla.running import console
from worldvla.running.job import code_digests
from worldvla.running.launching import launch
from worldvla.running.machine import read_machine
from worldvla.running.ranks import rank
from worldvla.running.timing import write_timing
from worldvla.running.unfinished import finish, work_folder
from worldvla.running.watchable import CURVES
from worldvla.stage_code import code_digest
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.image import ImageTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.vocabulary import CHAMELEON, vocabulary


def main(*, params: Path, shards: Path, tokenizer: Path, out: Path, timing: Path) -> None:
    """Train one run from scratch, or from published weights."""
    settings = strict.read(TrainParams, params)
    train_run(settings, shards, tokenizer, out, timing, partial(fetch_base, settings))


def fetch_base(settings: TrainParams, ranks: Ranks = ALONE) -> Path | None:
    """Fetch the published weights to begin with, verified; return their folder, that of a commit in the hub's cache.

    Raises:
        ValueError: as ``fetch_checkpoint``; before the shards are fetched, weights that cannot be trained on here.
    """
    if settings.base is None:
        return None
    publication = pinned(published.load(settings.base))
    fetched = fetch_checkpoint(publication, "", partial(check, settings, CHAMELEON, ranks=ranks))
    return fetched[CONFIG].parent


def train_run(
    settings: TrainParams,
    shards: Path,
    tokenizer: Path,
    out: Path,
    timing: Path,
    find_start: Callable[[Ranks], Path | None],
) -> None:
    """Train one run in as many processes as machine.yaml says, from random weights or from those in a folder."""
    machine = read_machine().training()
    if rank() is None and machine.processes > 1:
        find_start(Ranks(world=machine.processes))  # may take hours, in which no process need wait for another
        launch(machine.processes)
        return
    with joined() as ranks:
        start = one_after_another(ranks, partial(find_start, ranks))
        _train(settings, shards, tokenizer, out, timing, start, Spread(ranks, machine.tokens, machine.recompute))


def _train(
    settings: TrainParams,
    shards: Path,
    tokenizer: Path,
    out: Path,
    timing: Path,
    start: Path | None,
    spread: Spread,
) -> None:
    images, texts = ImageTokenizer.load(tokenizer), TextTokenizer.load(tokenizer / "text.json")
    actions = ActionTokenizer.load(tokenizer / "actions.json")
    ids = vocabulary(settings.vocabulary, texts.size, images.num_codes)
    everything = settings.episodes == "all"
    names = [name for name in SPLITS if name == "train" or (everything and (shards / name).is_dir())]
    parts = {name: asked_as(settings, read_shards(shards / name)) for name in names}
    samples = Windows([episode for part in parts.values() for episode in part], ids, texts, actions, settings)
    # Training on all episodes leaves none to validate on, nor does a task of fewer than ten demonstrations.
    held_out = shards / "val_ind"
    validation = (
        Windows(asked_as(settings, read_shards(held_out)), ids, texts, actions, settings)
        if not everything and held_out.is_dir()
        else None
    )
    digests = {
        "params": value_digest(dataclasses.asdict(settings)),
        "shards": folder_digest(shards),
        "tokenizer": folder_digest(tokenizer),
    }
    if start is not None:
        # The files of published weights are verified as they are fetched, and lie in the folder of their commit.
        digests["start"] = folder_digest(start) if settings.base is None else f"{settings.base} at {start.name}"
    work = work_folder("train", digests)
    data = {name: value for name, value in digests.items() if name != "params"}
    spread.ranks.check_same({"params": digests["params"], "code": value_digest(code_digests("train")), "data": data})
    trained = train(settings, ids, images.codebook, samples, validation, work, start, spread, CURVES / out.name)
    if trained is None:
        return  # another process has it
    with atomic_folder(out) as folder:
        asked = ModelSettings(
            vocabulary=settings.vocabulary,
            samples=settings.samples,
            prompt=settings.prompt,
            mask=settings.mask,
            chunk=settings.chunk,
            history=settings.history,
            image_tokenizer=images.digest,
        )
        trained_on = ", ".join(f"{len(part)} of {name}" for name, part in parts.items())
        base = {} if settings.base is None else {"started from": digests.pop("start")}
        digests |= {LINES["recipe"]: recipe(settings), LINES["trained_by"]: code_digest("train")}
        made_of = (
            {"trained on episodes": trained_on} | base | {f"{name} sha256": value for name, value in digests.items()}
        )
        write_model(folder, trained, asked, tokenizer, {"run": out.name} | made_of)
    write_timing(timing, trained.seconds, samples=len(trained.curve) * settings.batch)
    finish(work)
    last = trained.curve[-1]
    print(f"parts of the loss at the end: {shares(trained.curve)} (train.alpha in conf/ shifts them)")
    print(
        f"wrote {out}: {last['step']} steps in {trained.seconds:.0f} s, loss {last['loss']:.3f}, "
        f"validation loss {shown(last['validation_loss'])}. Next: dvc repro report"
    )


def asked_as(settings: TrainParams, episodes: list[TokenizedEpisode]) -> list[TokenizedEpisode]:
    """Return episodes with the instructions to train on: LIBERO's, or the names of the tasks, which name scenes too.

    Source: `action_model_conv_generation.py` of the release takes the name of the task's folder.
    """
    if not settings.scene_prefix:
        return episodes
    return [dataclasses.replace(episode, language=episode.task.replace("_", " ")) for episode in episodes]


if __name__ == "__main__":
    console.run(main)
