"""Token shards: WebDataset tars with one episode per sample, the same bytes for the same episodes.

    <task>/<demo>.codes.npy     uint16 [T, n]   VQ-GAN codes of each frame, row by row
    <task>/<demo>.actions.npy   float64 [T, 7]  raw controller commands
    <task>/<demo>.info.json     {"task", "demo", "language"}

Training windows are cut when the shards are read, so chunk and history never encode anything again.
"""

import io
import itertools
import json
import tarfile
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from webdataset.compat import WebDataset
from webdataset.writer import TarWriter

from worldvla.files import atomic_file

REMEDY = "run: dvc repro -f encode"
MEMBERS = ("actions.npy", "codes.npy", "info.json")


@dataclass(frozen=True)
class TokenizedEpisode:
    """One episode of T steps; ``codes[t]`` is the frame before ``actions[t]``."""

    task: str
    demo: str
    language: str
    codes: np.ndarray  # uint16 [T, n], row-major
    actions: np.ndarray  # float64 [T, 7]


def shard_path(folder: Path, index: int) -> Path:
    """Return the path of a folder's shard: 000000.tar, 000001.tar, ..."""
    return folder / f"{index:06d}.tar"


def write_shard(path: Path, episodes: Iterable[TokenizedEpisode]) -> None:
    """Write one tar atomically: no compression, no times, no users, so equal episodes give equal bytes."""
    with (
        atomic_file(path) as scratch,
        scratch.open("wb") as stream,
        TarWriter(stream, user="", group="", compress=False, encoder=False, mtime=0) as tar,
    ):
        for episode in episodes:
            info = {"task": episode.task, "demo": episode.demo, "language": episode.language}
            sample = {
                "__key__": f"{episode.task}/{episode.demo}",
                "codes.npy": _npy(episode.codes.astype(np.uint16, casting="safe")),
                "actions.npy": _npy(episode.actions.astype(np.float64)),
                "info.json": json.dumps(info, sort_keys=True).encode(),
            }
            tar.write(sample)


def write_shards(folder: Path, episodes: Iterable[TokenizedEpisode], per_shard: int) -> None:
    """Write episodes in order into a folder's shards, ``per_shard`` in each but the last."""
    remaining = iter(episodes)
    for index in itertools.count():
        group = list(itertools.islice(remaining, per_shard))
        if not group:
            return
        write_shard(shard_path(folder, index), group)


def read_shards(folder: Path) -> list[TokenizedEpisode]:
    """Return all episodes of a folder in written order.

    Raises:
        ValueError: there is no shard, one is missing, truncated or damaged, or a sample is not what was written.
    """
    found = sorted(folder.glob("*.tar"))
    if not found:
        raise ValueError(f"{folder}: no shard (*.tar); expected at least one; {REMEDY}")
    for index, path in enumerate(found):
        if path != shard_path(folder, index):
            raise ValueError(f"{folder}: {shard_path(folder, index).name} is missing; {REMEDY}")
    return [episode for path in found for episode in _read_shard(path)]


def _read_shard(path: Path) -> list[TokenizedEpisode]:
    _check_end(path)
    try:
        # Every process of a training reads all of it, and takes its samples from that.
        samples = list(WebDataset(str(path), shardshuffle=False, nodesplitter=lambda urls: urls))
    except (tarfile.TarError, ValueError) as error:
        raise ValueError(f"{path}: a damaged tar ({_one_line(error)}); expected a whole shard; {REMEDY}") from None
    return [_episode(f"{path}: {sample['__key__']}", sample) for sample in samples]


def _check_end(path: Path) -> None:
    """Raise if the tar was cut: cut between two members it would read as a shorter, seemingly whole one."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - 2 * tarfile.BLOCKSIZE))
        end = stream.read()
    if size == 0 or size % tarfile.RECORDSIZE or any(end):
        raise ValueError(f"{path}: a truncated tar of {size} bytes; expected a whole shard; {REMEDY}")


def _episode(where: str, sample: dict[str, bytes]) -> TokenizedEpisode:
    missing = [member for member in MEMBERS if member not in sample]
    if missing:
        raise ValueError(f"{where}: the member '{missing[0]}' is missing; expected {', '.join(MEMBERS)}; {REMEDY}")
    try:
        info = json.loads(sample["info.json"])
        task, demo, language = info["task"], info["demo"], info["language"]
        # Not WebDataset's own decoders: they would also unpickle.
        codes, actions = (
            np.load(io.BytesIO(sample[member]), allow_pickle=False) for member in ("codes.npy", "actions.npy")
        )
    except (ValueError, KeyError, TypeError, EOFError, tokenize.TokenError) as error:
        raise ValueError(f"{where}: a damaged sample ({_one_line(error)}); {REMEDY}") from None
    if codes.dtype != np.uint16 or codes.ndim != 2 or codes.size == 0:
        raise ValueError(f"{where}: codes are {codes.dtype} {list(codes.shape)}; expected uint16 [T, n]; {REMEDY}")
    if actions.dtype != np.float64 or actions.shape != (len(codes), 7):
        got = f"{actions.dtype} {list(actions.shape)}"
        raise ValueError(f"{where}: actions are {got}; expected float64 [{len(codes)}, 7]; {REMEDY}")
    if not np.isfinite(actions).all():
        step = int(np.argwhere(~np.isfinite(actions))[0][0])
        raise ValueError(f"{where} step {step}: the action is not finite; expected finite commands; {REMEDY}")
    return TokenizedEpisode(task, demo, language, codes, actions)


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
