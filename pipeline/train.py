"""Stage train: token shards and a suite's tokenizers -> a model.

Writes a ``save_pretrained`` folder with the training curve and a model card, and the wall clock into a file of its own.
An interrupted training goes on where it stopped. Cost: benchmarks/README.md.
"""

import dataclasses
import functools
import time
from pathlib import Path

from worldvla import console
from worldvla.data.shards import read_shards
from worldvla.data.work import work_folder
from worldvla.files import atomic_folder, folder_digest, value_digest
from worldvla.model.batches import ActionWindows
from worldvla.model.policy import PolicySettings
from worldvla.model.saving import shown, write_model
from worldvla.model.training import forget, train
from worldvla.params import strict
from worldvla.params.train import TrainParams
from worldvla.timing import write_timing
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.image import ImageTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.vocabulary import vocabulary


def main(*, params: Path, shards: Path, tokenizer: Path, out: Path, timing: Path) -> None:
    """Train one run."""
    settings = strict.read(TrainParams, params)
    images, texts = ImageTokenizer.load(tokenizer), TextTokenizer.load(tokenizer / "text.json")
    actions = ActionTokenizer.load(tokenizer / "actions.json")
    ids = vocabulary(settings.vocabulary, texts.size, images.num_codes)
    windows = functools.partial(
        ActionWindows,
        ids=ids,
        texts=texts,
        actions=actions,
        prompt=settings.prompt,
        chunk=settings.chunk,
        history=settings.history,
    )
    samples = windows(read_shards(shards / settings.split))
    # A task of fewer than ten demonstrations leaves none to validate on.
    held_out = shards / "val_ind"
    validation = windows(read_shards(held_out)) if held_out.is_dir() else None
    digests = {
        "params": value_digest(dataclasses.asdict(settings)),
        "shards": folder_digest(shards),
        "tokenizer": folder_digest(tokenizer),
    }
    work = work_folder("train", digests)
    started = time.monotonic()
    trained = train(settings, ids, images.codebook, samples, validation, work)
    seconds = time.monotonic() - started
    with atomic_folder(out) as folder:
        policy = PolicySettings(settings.vocabulary, settings.prompt, settings.mask, settings.chunk, settings.history)
        write_model(
            folder, trained, policy, tokenizer, {"run": out.name} | {f"{k} sha256": v for k, v in digests.items()}
        )
    write_timing(timing, seconds, samples=settings.steps * settings.batch)
    forget(work)
    last = trained.curve[-1]
    print(
        f"wrote {out}: {last['step']} steps in {seconds:.0f} s, loss {last['loss']:.3f}, "
        f"validation loss {shown(last['validation_loss'])}. Next: dvc repro rollout@{out.name}"
    )


if __name__ == "__main__":
    console.run(main)
