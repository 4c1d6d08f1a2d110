"""The card of a published model, in the hub's format: what it answers to, how it was made, how well it does, what it is for."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from worldvla.data.episodes import read_table
from worldvla.files import file_digest, value_digest
from worldvla.metrics.success import wilson
from worldvla.model.settings import ModelSettings
from worldvla.model.weights import read_config
from worldvla.simulation.outcomes import EPISODES

ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)  # of the table in the card that the training wrote
TASKS = {"action": "robotics", "world": "image-to-video", "video": "image-to-video"}


def write_card(folder: Path, repository: str, pixels: int, data: Path) -> ModelCard:
    """Return the card of a run.

    Args:
        folder: the model's.
        repository: what it will be called, ``owner/name``.
        pixels: side of its images.
        data: what the pipeline wrote: rollouts and effective params are taken from there, if they are.

    Raises:
        ValueError: the rollouts are of other weights.
    """
    settings = ModelSettings.load(folder)
    made = (
        dict(ROW.findall((folder / "README.md").read_text(encoding="utf-8")))
        if (folder / "README.md").is_file()
        else {}
    )
    made = {name: value for name, value in made.items() if name != "---"}
    success = success_of(folder, data / "rollouts" / folder.name)
    params = resolved(folder.name, data)
    benchmark = {"libero": "LIBERO", "mini": "the embedded benchmark (not LIBERO)"}.get(
        _section(params, "benchmark"), "its suites"
    )
    about = ModelCardData(
        library_name="worldvla",
        pipeline_tag=TASKS[settings.samples[0]],
        tags=["worldvla", "robotics", "vision-language-action", "world-model", "chameleon"],
        model_name=folder.name,
        eval_results=[_result(row, benchmark) for row in success] or None,
    )
    rows = "\n".join(f"| {name} | {value} |" for name, value in made.items())
    rates = "\n".join(
        f"| {row['suite']} | {100 * row['rate']:.1f} % | {100 * row['low']:.1f} to {100 * row['high']:.1f} % | {row['episodes']} |"
        for row in success
    )
    measured = (
        f"On {benchmark}, from initial states that no demonstration used:\n\n"
        f"| suite | success rate | 95 % interval (Wilson) | episodes |\n| --- | --: | --- | --: |\n{rates}"
        if success
        else "Not measured: there are no rollouts of it."
    )
    section = yaml.safe_dump({"train": params["train"]}, sort_keys=False).rstrip() if "train" in params else None
    values = f"\nIts effective params (all of them: `params.yaml`):\n\n```yaml\n{section}\n```\n" if section else ""
    return ModelCard(
        f"""---
{about.to_yaml()}
---

# {folder.name}

A model of a reproduction of [WorldVLA](https://arxiv.org/abs/2506.21539): Chameleon's transformer over text, images and
actions, with the image tokenizer (`vqgan/`), the text and the action tokenizer that it belongs to.

## What it answers to

{_answers(settings, pixels)}

## Use

{_use(settings, repository, read_config(folder).position_rms > 0)}

## How it was made

| | |
| --- | --- |
{rows}
{values}
## How well it does

{measured}

## What it is for

Research on action world models in simulation: it was trained on demonstrations of the simulator alone, on the tasks and with
the camera of its suite. It has not been tried on a real robot, on other instructions or other cameras, and its actions pass
no check of safety. A rate counts episodes of one training; another seed may do otherwise by tens of points.
"""
    )


def success_of(folder: Path, rollouts: Path) -> list[dict[str, Any]]:
    """Return the success rate of each suite with its 95 % interval, as fractions; none if it was not rolled out.

    Raises:
        ValueError: the rollouts are of other weights than those in the folder.
    """
    if not (rollouts / "episodes.parquet").is_file():
        return []
    weights = value_digest([[path.name, file_digest(path)] for path in sorted(folder.glob("*.safetensors"))])
    of = json.loads((rollouts / "made_of.json").read_text(encoding="utf-8")).get("weights")
    if of != weights:
        raise ValueError(
            f"{rollouts}: they are of the weights {str(of)[:12]}, those in {folder} are {weights[:12]}; expected the same; run: "
            f"dvc repro rollout"
        )
    rows = read_table(rollouts / "episodes.parquet", EPISODES, "Run: dvc repro rollout")
    rates = []
    for suite in sorted({row["suite"] for row in rows}):
        outcomes = [row["success"] for row in rows if row["suite"] == suite]
        low, high = wilson(sum(outcomes), len(outcomes))
        rate = sum(outcomes) / len(outcomes)
        rates.append({"suite": suite, "rate": rate, "low": low, "high": high, "episodes": len(outcomes)})
    return rates


def resolved(run: str, data: Path) -> dict[str, Any]:
    """Return the effective params of a run by section; none if they are not there."""
    path = data / "resolved" / f"{run}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _section(params: dict[str, Any], name: str) -> Any:
    return params.get("rollout", {}).get(name)


def _result(row: dict[str, Any], benchmark: str) -> EvalResult:
    interval = f"95 % interval {100 * row['low']:.1f} to {100 * row['high']:.1f} %, {row['episodes']} episodes"
    return EvalResult(
        task_type="robotics",
        dataset_type=row["suite"],
        dataset_name=f"{row['suite']} suite of {benchmark}",
        metric_type="success_rate",
        metric_name=f"success rate in per cent ({interval})",
        metric_value=round(100 * row["rate"], 1),
    )


def _answers(settings: ModelSettings, pixels: int) -> str:
    """Return a list of the kinds of questions."""
    frames = f"an instruction and the last {settings.history} frames ({pixels} x {pixels} px, RGB, LIBERO's `agentview_image`"
    lines = {
        "action": f"{frames} turned by 180 degrees) -> the next {settings.chunk} commands of `env.step`, 7 numbers each",
        "world": f"a frame ({pixels} x {pixels} px) and an action -> the next frame",
        "video": f"{frames} turned by 180 degrees) -> future frames",
    }
    return "\n".join(f"- {lines[kind]}" for kind in settings.samples)


def _use(settings: ModelSettings, repository: str, waves: bool) -> str:
    calls = {
        "action": ("Policy", 'act(frames, "open the drawer")  # [m, px, px, 3] -> [K, 7]'),
        "world": ("WorldModel", "predict(frame, actions)  # [T, 7] -> [T + 1, px, px, 3]"),
    }
    known = [calls[kind] for kind in settings.samples if kind in calls]
    weights = "`ChameleonModel.from_pretrained` of transformers opens the weights."
    if waves:
        weights += " It does not add the waves of positions to the embeddings (`worldvla/model/parts.py`): give it `inputs_embeds`."
    if not known:
        return weights
    lines = [f"from worldvla import {', '.join(name for name, _ in known)}"]
    lines += [f'{name}.load("{repository}").{call}' for name, call in known]
    code = "\n".join(lines)
    served = (
        f"`./run serve {repository}` serves it over openpi's websocket protocol. "
        if "action" in settings.samples
        else ""
    )
    return f"```python\n{code}\n```\n\n{served}{weights}"
