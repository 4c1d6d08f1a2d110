"""A published checkpoint: everything that can be refused is refused before its gigabytes are fetched."""

import json
from collections.abc import Callable
from pathlib import Path

from worldvla.data.hub import fetching
from worldvla.data.hub.published import Publication
from worldvla.vocabulary import CHAMELEON

CONFIG, INDEX = "config.json", "model.safetensors.index.json"
OPTIONAL = ("generation_config.json", "args.json")  # how it was generated with, and trained
SUCCESSOR = ("action_dim", "time_horizon")  # of RynnVLA-002's config.json


def fetch_checkpoint(
    publication: Publication, folder: str, check: Callable[[Path], object], copies: Path | None = None
) -> dict[str, Path]:
    """Return the files of a checkpoint's folder, verified, by their names: config, index, its shards, and what it has beside.

    Args:
        publication: pinned (``listing.pinned``).
        folder: in the repository, e.g. ``model_256/libero_goal``; empty: the repository itself.
        check: of the folder with config and index, before the shards are fetched; raises if these would be of no use.
        copies: the folder that ``fetching.place`` will put them into.

    Raises:
        ValueError: one sentence: no such folder, a checkpoint of something else, an index that names shards which are not
            there, or as ``fetching.fetch_files``.
    """
    listed = {file.path for file in publication.files}

    def at(name: str) -> str:
        return f"{folder}/{name}" if folder else name

    if at(CONFIG) not in listed:
        folders = sorted({path.rpartition("/")[0] or "." for path in listed if path.split("/")[-1] == CONFIG})
        raise ValueError(
            f"{publication.repository} at {publication.revision[:12]}: no '{at(CONFIG)}'; expected it among the "
            f"checkpoints there ({', '.join(folders) or 'none'}); correct the folder where this repository names it, or "
            f"{publication.instead}"
        )
    small = fetching.fetch_files(publication, [at(CONFIG), at(INDEX)], copies)
    check_config(small[at(CONFIG)])
    check(small[at(CONFIG)].parent)
    shards = named_shards(small[at(INDEX)])
    if missing := [shard for shard in shards if at(shard) not in listed]:
        raise ValueError(
            f"'{at(INDEX)}' of {publication.repository} at {publication.revision[:12]}: it names '{missing[0]}', which "
            f"the hub does not list; expected all {len(shards)} shards there; tell the authors, or {publication.instead}"
        )
    names = [CONFIG, INDEX, *shards, *[name for name in OPTIONAL if at(name) in listed]]
    fetched = fetching.fetch_files(publication, [at(name) for name in names], copies)
    return {name: fetched[at(name)] for name in names}


def check_config(path: Path) -> None:
    """Refuse the config.json of anything but a checkpoint of WorldVLA.

    Raises:
        ValueError: one sentence.
    """
    config = _read(path)
    if odd := [key for key in SUCCESSOR if key in config]:
        raise ValueError(
            f"{path}: '{odd[0]}' is there, so this is a checkpoint of the successor, RynnVLA-002, which reads wrist images and "
            "states; expected one that reads the front camera alone; correct the repository in "
            "worldvla/data/hub/repositories.yaml"
        )
    if config.get("vocab_size") != CHAMELEON.size:
        raise ValueError(
            f"{path}: vocab_size is {config.get('vocab_size')}; expected {CHAMELEON.size}, Chameleon's; correct the "
            "repository in worldvla/data/hub/repositories.yaml"
        )


def named_shards(path: Path) -> list[str]:
    """Return the files that an index of shards names, sorted.

    Raises:
        ValueError: one sentence: it names none, or files of other folders.
    """
    weights = _read(path).get("weight_map")
    shards = list(weights.values()) if isinstance(weights, dict) else []
    odd = [
        shard for shard in shards if not isinstance(shard, str) or "/" in shard or not shard.endswith(".safetensors")
    ]
    if odd or not shards:
        got = f"{odd[0]!r} among them" if odd else "none"
        raise ValueError(
            f"{path}: the shards that it names are {got}; expected safetensors files beside it; delete it and run the same "
            "command to fetch it again"
        )
    return sorted(set(shards))


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: not a mapping in JSON; expected that of a checkpoint; delete it and run the same command to fetch it "
            "again"
        )
    return content
