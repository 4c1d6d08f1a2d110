"""The page of the runs, to which every number leads: from there on to its commands, params, digests, commits and machines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from worldvla.files import file_digest
from worldvla.params.trainings import model_name, run_name
from worldvla.reporting.inputs.clips import VideoMetrics
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import in_order
from worldvla.reporting.pages.template import write
from worldvla.reporting.provenance import duration, timing_of

WEIGHTS = "model.safetensors"
KINDS = {
    "params": "params of the rollout",
    "data": "training shards",
    "tokenizer": "tokenizer",
    "recipe": "params of the training",
    "trained_by": "code of the training",
    "code": "code of the rollout",
}


def write_page(folder: Path, inputs: Inputs) -> None:
    """Write ``runs.md``; the wall-clock files among the inputs, which no cache depends on, may be absent."""
    clips = [suite for suite in inputs.metrics.values() if isinstance(suite, VideoMetrics)]

    def made(stage: str, name: str, *kinds: str) -> str:
        record = timing_of(inputs.timing, name, *kinds)
        when = f"commit {record['commit']}, {record['date']}, {duration(record)} on {record['hardware']}"
        return f"`dvc repro {stage}`: {when}"

    write(
        folder / "runs.md",
        inputs,
        weights=WEIGHTS,
        runs=list(_runs(inputs, clips)),
        clips=clips,
        kinds=KINDS,
        made=made,
        digest=file_digest,
        model_name=model_name,
        run_name=run_name,
    )


def _runs(inputs: Inputs, clips: list[VideoMetrics]) -> Iterator[dict[str, Any]]:
    """Yield what has left anything: the runs of this report, then what was rolled out without a training of ours."""
    params = inputs.params
    rolled = {part.name: part for run in inputs.rollouts.read for part in run.parts.values()}
    stages = {
        run_name(name, suite, number): f"{one.stage('train')}@{run_name(name, suite, number)}"
        for suite in in_order(params.suites)
        for name, one in params.variants.items()
        for number in one.trainings
    }
    generated = {
        run_name(variant, suite.suite, number)
        for suite in clips
        for variant, one in params.variants.items()
        for number in one.trainings
        if f"generated/{model_name(variant, number)}" in suite.made_of
    }
    for name in dict.fromkeys((*stages, *rolled)):
        weights = inputs.models / name / WEIGHTS
        found = {
            "trained": stages.get(name) if weights.parent.exists() else None,
            "weights": weights if name in stages and weights.is_file() else None,
            "rolled": rolled.get(name),
            "generated": name in generated,
        }
        if any(found.values()):
            yield {"name": name} | found
