"""From a number back to what made it: the page of the runs, to which every number leads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worldvla.files import file_digest
from worldvla.params.trainings import model_name, run_name
from worldvla.reporting.inputs.clips import VideoMetrics
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Run, in_order
from worldvla.reporting.markdown import page

WEIGHTS = "model.safetensors"


def link(text: str, run: str) -> str:
    """Return words that lead to a run on the page of the runs."""
    return f"[{text}](runs.md#{run})"


def write_page(folder: Path, inputs: Inputs) -> None:
    """Write ``runs.md``: of each run its commands, params, digests, commits, hardware and times.

    Args:
        folder: the reports.
        inputs: of the report; the wall-clock files among them, which no cache depends on, may be absent.
    """
    params = inputs.params
    rolled = {part.name: (run, part.made_of) for run in inputs.rollouts.read for part in run.parts.values()}
    trained = {
        run_name(name, suite, number): f"{one.stage('train')}@{run_name(name, suite, number)}"
        for suite in in_order(params.suites)
        for name, one in params.variants.items()
        for number in one.trainings
    }
    clips = {suite.suite: suite for suite in inputs.metrics.values() if isinstance(suite, VideoMetrics)}
    sections = [_run(inputs, name, stage, rolled.get(name), clips) for name, stage in trained.items()]
    sections += [_run(inputs, name, "", found, clips) for name, found in rolled.items() if name not in trained]
    text = page(
        f"# Runs at scale `{params.scale}`: what every number was made of, and by what",
        f"{inputs.about} A run is one training of one kind of model on one suite, called `<variant>-<suite>-<number>`. The sha256 "
        f"of the weights is that of the file `{WEIGHTS}`; training shards are the encoded episodes that it was trained on. "
        "Params in full: `data/resolved/<run>.yaml`. Commits, times and machines are of the run that made the result "
        "first; what a stage's code was is in its digest, whatever the commit.",
        *[block for blocks in sections for block in blocks],
        *[block for suite in clips.values() for block in _clips(inputs, suite)],
    )
    (folder / "runs.md").write_text(text, encoding="utf-8")


def _run(
    inputs: Inputs,
    name: str,
    trained_by: str,
    rolled: tuple[Run, Mapping[str, str]] | None,
    clips: Mapping[str, VideoMetrics],
) -> list[str]:
    """Return the blocks of a run that has left anything; nothing for one that has not."""
    folder = inputs.models / name
    suite = name.split("-")[1]
    lines = []
    if trained_by and folder.exists():
        lines.append(_made(inputs.timing, trained_by, name, "train", "finetune"))
        weights = folder / WEIGHTS
        if weights.is_file():
            lines.append(f"weights: `{weights}`, sha256 `{file_digest(weights)}`")
    if rolled:
        run, made_of = rolled
        stage = next(part.stage for part in run.parts.values() if part.name == name)
        if "released" in made_of:
            lines.append(f"weights of {made_of['released']}; not trained here")
        lines.append(_made(inputs.timing, stage, name, "rollout"))
        kinds = {"params": "params of the rollout", "data": "training shards", "tokenizer": "tokenizer"}
        kinds |= {
            "recipe": "params of the training",
            "trained_by": "code of the training",
            "code": "code of the rollout",
        }
        digests = [f"{words} `{made_of[kind][:12]}`" for kind, words in kinds.items() if kind in made_of]
        lines += [f"sha256: {', '.join(digests)}", made_of["simulator"]]
    if suite in clips and f"generated/{'-'.join([name.split('-')[0], name.split('-')[-1]])}" in clips[suite].made_of:
        lines.append(_made(inputs.timing, f"generate@{name}", name, "generate"))
    return [f"## {name}", "\n".join(f"- {line}" for line in lines)] if lines else []


def _clips(inputs: Inputs, suite: VideoMetrics) -> list[str]:
    """Return the blocks of the scores of a suite's clips, with the models behind them."""
    digests = ", ".join(f"{kind} `{digest[:12]}`" for kind, digest in sorted(suite.made_of.items()))
    models = [
        link(model_name(variant, number), run_name(variant, suite.suite, number))
        for variant in suite.models
        for number in suite.trainings(variant)
    ]
    lines = [
        _made(inputs.timing, f"video_metrics@{suite.suite}", suite.suite, "video_metrics"),
        f"sha256: {digests}",
        f"clips predicted by {', '.join(models)}",
    ]
    return [f"## clips-{suite.suite}", "\n".join(f"- {line}" for line in lines)]


def _made(timing: Path, stage: str, name: str, *kinds: str) -> str:
    record = timing_of(timing, name, *kinds)
    when = f"commit {record['commit']}, {record['date']}, {duration(record)} on {record['hardware']}"
    return f"`dvc repro {stage}`: {when}"


def timing_of(folder: Path, name: str, *stages: str) -> dict[str, Any]:
    """Return the record of the first of the stages that has one."""
    unknown = {"commit": "unknown", "date": "date unknown", "hardware": "unknown hardware", "seconds": None}
    for stage in stages:
        path = folder / stage / f"{name}.json"
        if path.exists():
            return unknown | json.loads(path.read_text(encoding="utf-8"))
    return unknown


def duration(record: Mapping[str, Any]) -> str:
    """Return the seconds of a record in words."""
    seconds = record["seconds"]
    if seconds is None:
        return "unknown time"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
