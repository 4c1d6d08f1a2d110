"""Stage speed: time the queries of a suite's policies in turns (paper, table 5: frames per second).

Writes a JSON file with the milliseconds of every query, by policy and round, and the actions per second: the chunk over the
median query. A query encodes the frames that are new since the last one and decodes a chunk. Policies that answer with
chunks of the same length are loaded together and asked in turns; one length comes after the other, for all policies of the
paper's size at a time would fill a GPU. Runs alone, so that nothing else slows it; takes seconds.
"""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from worldvla.data.shards import TokenizedEpisode, read_shards
from worldvla.files import folder_digest
from worldvla.metrics.turns import in_turns
from worldvla.model.policy import ChameleonPolicy
from worldvla.model.settings import ModelSettings
from worldvla.params import strict
from worldvla.params.speed import SpeedParams
from worldvla.running import console
from worldvla.running.timing import write_timing
from worldvla.tokenizers.image import ImageTokenizer


def main(*, params: Path, timed: Path, tokenizer: Path, shards: Path, out: Path) -> None:
    """Time the policies on frames of a training episode."""
    settings = strict.read(SpeedParams, params)
    models = {name: model_of(timed / f"{name}.json") for name in settings.policies}
    chunks = {name: ModelSettings.load(model).chunk for name, model in models.items()}
    episode, images = read_shards(shards / "train")[0], ImageTokenizer.load(tokenizer)
    seconds: dict[str, list[float]] = {}
    for chunk in dict.fromkeys(chunks.values()):
        queries = {
            name: query(ChameleonPolicy.load(model, tokenizer, graphs=settings.graphs), episode, images)
            for name, model in models.items()
            if chunks[name] == chunk
        }
        seconds |= in_turns(queries, settings.num_queries)
        queries.clear()  # makes room for the policies of the next length
        torch.cuda.empty_cache()
    speeds = {name: chunks[name] / statistics.median(seconds[name]) for name in models}
    found = {
        name: {
            "chunk": chunks[name],
            "actions_per_s": round(speeds[name], 2),
            "query_ms": [round(one * 1e3, 3) for one in seconds[name]],
        }
        for name in models
    }
    write_timing(out, sum(map(sum, seconds.values())), policies=found)
    words = ", ".join(f"{name} {speed:.2g}" for name, speed in speeds.items())
    print(f"wrote {out}: actions/s of {settings.num_queries} rounds: {words}. Next: dvc repro report")


def model_of(named: Path) -> Path:
    """Return the folder of the model that the stage timed has named.

    Raises:
        ValueError: it holds other bytes than then.
    """
    record = json.loads(named.read_text(encoding="utf-8"))
    model = Path(record["model"])
    if not model.is_dir() or folder_digest(model) != record["sha256"]:
        raise ValueError(f"{model}: not the model that {named} names by its sha256. Run: ./run reproduce")
    return model


def query(policy: ChameleonPolicy, episode: TokenizedEpisode, images: ImageTokenizer) -> Callable[[], object]:
    """Return what asks a policy once, as a rollout does after its first chunk: the frames that are new are encoded."""
    known = episode.codes[: policy.history]
    frames = images.decode(known)
    num_new = min(policy.history, policy.chunk, len(frames))

    def ask() -> object:
        codes = np.concatenate([known[: len(frames) - num_new], policy.encode(frames[-num_new:])])
        return policy.act([episode.language], [codes])

    return ask


if __name__ == "__main__":
    console.run(main)
