"""Stage speed: time a policy's queries, one at a time (paper, table 5: frames per second).

Writes a JSON file with the actions per second, and between which values the middle half of the queries lies: the chunk over the
median time of a query, which encodes the frames that are
new since the last one and decodes a chunk. Runs alone, so that nothing else slows it; takes seconds.
"""

import statistics
import time
from pathlib import Path

import numpy as np

from worldvla.data.shards import read_shards
from worldvla.model.policy import ChameleonPolicy
from worldvla.params import strict
from worldvla.params.speed import SpeedParams
from worldvla.running import console
from worldvla.running.timing import write_timing
from worldvla.tokenizers.image import ImageTokenizer

WARM_UP = 3  # queries that are not counted


def main(*, params: Path, model: Path, tokenizer: Path, shards: Path, out: Path) -> None:
    """Time one policy on frames of a training episode."""
    settings = strict.read(SpeedParams, params)
    policy = ChameleonPolicy.load(model, tokenizer, graphs=settings.graphs)
    episode = read_shards(shards / "train")[0]
    frames = ImageTokenizer.load(tokenizer).decode(episode.codes[: policy.history])
    num_new = min(policy.history, policy.chunk, len(frames))
    seconds = []
    for _ in range(WARM_UP + settings.num_queries):
        started = time.perf_counter()
        codes = np.concatenate([episode.codes[: len(frames) - num_new], policy.encode(frames[-num_new:])])
        policy.act([episode.language], [codes])
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds[WARM_UP:])
    fast, slow = np.percentile(seconds[WARM_UP:], (25, 75)).tolist()
    write_timing(
        out,
        sum(seconds),
        num_queries=settings.num_queries,
        query_ms=round(median * 1e3, 2),
        actions_per_s=round(policy.chunk / median, 2),
        slow_actions_per_s=round(policy.chunk / slow, 2),
        fast_actions_per_s=round(policy.chunk / fast, 2),
        chunk=policy.chunk,
        history=policy.history,
    )
    print(
        f"wrote {out}: {policy.chunk / median:.1f} actions/s, {median * 1e3:.1f} ms per query. Next: dvc repro report"
    )


if __name__ == "__main__":
    console.run(main)
