"""Fetch a checkpoint of the paper's authors (14 GB) and lay it out as a model of ours, by links into the hub's cache.

Writes ``data/models/<name>-<suite>/``: the published files as they are, the tokenizers that belong to them, ``settings.json``,
``released.json`` (repository, commit, sha256) and a card. Whatever can be refused is refused before the shards are fetched.
"""

import dataclasses
import json
import shutil
from pathlib import Path

from worldvla.data.hub import fetching, published
from worldvla.data.hub.checkpoint import fetch_checkpoint
from worldvla.data.hub.listing import pinned
from worldvla.files import atomic_folder, file_digest, write_json, write_text
from worldvla.model import placement
from worldvla.model.settings import ModelSettings
from worldvla.model.weights import read_config
from worldvla.params import strict
from worldvla.params.released import ORIGIN_FILE, ReleasedModelParams
from worldvla.running import console
from worldvla.simulation import engine
from worldvla.simulation.libero_assets import ensure_assets
from worldvla.tokenizers.image import ImageTokenizer


def main(*, params: Path, tokenizer: Path, out: Path) -> None:
    """Fetch one checkpoint."""
    settings = strict.read(ReleasedModelParams, params)
    # What its rollouts will need; LIBERO's assets are small beside it.
    engine.check_mujoco()
    ensure_assets("libero")
    asked = ModelSettings(
        vocabulary="chameleon",
        samples=("action", "world"),
        prompt="release",
        mask=settings.mask,
        chunk=settings.chunk,
        history=settings.history,
        image_tokenizer=ImageTokenizer.load(tokenizer).digest,
    )
    # The commit that the tokenizers are of.
    release = json.loads((tokenizer / "origin.json").read_text(encoding="utf-8"))["commit"]
    publication = pinned(dataclasses.replace(published.load("released"), revision=release))
    fetched = fetch_checkpoint(publication, settings.folder, can_be_asked, out)
    known = {file.path: file.sha256 for file in publication.files}
    digests = {name: known[f"{settings.folder}/{name}"] or file_digest(path) for name, path in fetched.items()}
    origin = {"repository": publication.repository, "commit": publication.revision, "folder": settings.folder}
    with atomic_folder(out) as folder:
        for name, path in fetched.items():
            fetching.place(path, folder / name)
        for name in ("text.json", "actions.json"):
            shutil.copyfile(tokenizer / name, folder / name)
        asked.save(folder)
        write_json(folder / ORIGIN_FILE, origin | {"sha256": digests})
        write_text(folder / "README.md", card(out.name, asked, origin, digests))
    num_bytes = sum(path.stat().st_size for path in fetched.values())
    print(
        f"wrote {out}: {settings.folder} of {publication.repository} at {publication.revision[:12]}, "
        f"{num_bytes / 1e9:.1f} GB in the hub's cache, linked from there. Next: rollout_released"
    )


def can_be_asked(folder: Path) -> None:
    """Refuse weights that cannot be asked on this machine, of which only the config is read.

    Raises:
        ValueError: they are another model's, the GPU has no bf16, or the memory is too small.
    """
    device = placement.device()
    placement.check_room(read_config(folder), placement.answering(device).itemsize, 0, device, str(folder))


def card(name: str, asked: ModelSettings, origin: dict[str, str], digests: dict[str, str]) -> str:
    """Return the model's card."""
    facts = origin | {
        "action samples": f"the instruction and {asked.history} frames -> {asked.chunk} actions, under the {asked.mask} mask",
        "image tokenizer": asked.image_tokenizer,
        **{f"{file} sha256": digest for file, digest in digests.items()},
    }
    rows = "\n".join(f"| {fact} | {value} |" for fact, value in facts.items())
    return f"""# {name}

A checkpoint of the paper's authors, as published; nothing here has been trained by this repository.
`ChameleonPolicy.load` (`worldvla.model.policy`) makes a policy of this folder.

| | |
| --- | --- |
{rows}
"""


if __name__ == "__main__":
    console.run(main)
