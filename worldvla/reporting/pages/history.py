"""The earlier runs of this repository: how much the rates of a page move from one to the next."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Run, in_order
from worldvla.reporting.pages.row import Row
from worldvla.reporting.pages.template import render
from worldvla.reporting.provenance import timing_of

RUNS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("history.yaml").read_text(encoding="utf-8"))


def other_runs(inputs: Inputs, rows: Sequence[Row]) -> list[str]:
    """Return the rates of a page's rows in the earlier runs and, last, in this one; nothing where none has any of them."""
    suites = []
    for suite in in_order(inputs.params.suites):
        before = [_earlier(run, suite, rows) for run in RUNS]
        if any(run["successes"] for run in before):
            runs = [*[run for run in before if run["successes"]], _this(inputs, rows, suite)]
            counts = {row.key: [run["successes"].get(row.key, "") for run in runs] for row in rows}
            states = {row.key: [_states(run, row.key) for run in runs] for row in rows}
            suites.append((suite, runs, counts, _moves(runs, counts, states)))
    return [render("history", suites=suites, percent_of=_percent)] if suites else []


def _earlier(run: Mapping[str, Any], suite: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return an earlier run with its successes and numbers of trainings by row of a page, and the latter in words."""
    found = run["successes"].get(suite, {})
    counts = {row.key: found[name] for row in rows for name in (row.key, row.variant) if name in found}
    trainings = {
        row.key: run.get("trainings_of", {}).get(row.variant, run["trainings"]) for row in rows if row.key in counts
    }
    return {**run, "successes": counts, "trainings_of": trainings, "trainings": _listed(trainings.values())}


def _this(inputs: Inputs, rows: Sequence[Row], suite: str) -> dict[str, Any]:
    """Return this report's runs in the same form."""
    params, found = inputs.params, [(row, inputs.rollouts.run(row.variant, suite)) for row in rows]
    ran = [(row, run) for row, run in found if isinstance(run, Run) and row.variant in params.variants]
    records, steps = [], set[int]()
    for row, run in ran:
        for part in run.parts.values():
            records.append(timing_of(inputs.timing, part.name, "rollout"))
            if (curve := inputs.models / part.name / "curve.parquet").exists():
                variant = params.variants[row.variant]
                steps.add(pq.read_metadata(curve).num_rows // (variant.times * len(variant.samples)))
    timed = [record for record in records if record["seconds"] is not None]
    return {
        "reports": "this report",
        "code": _listed(record["commit"] for record in timed),
        "date": _listed(record["date"].split(" ")[0] for record in timed),
        "scale": params.scale,
        "benchmark": params.benchmark,
        "pixels": _listed(variant.pixels for variant in params.variants.values() if variant.images == "main"),
        "steps": _listed(steps),
        "batch": params.batch,
        "optimizer": params.optimizer,
        "seed": params.seed,
        "trainings": _listed(len(run.parts) for _, run in ran),
        "trainings_of": {row.key: len(run.parts) for row, run in ran},
        "machine": _listed(record["hardware"] for record in timed),
        "successes": {row.key: "/".join(map(str, run.counts)) for row, run in ran},
    }


def _listed(found: Iterable[object]) -> str:
    return ", ".join(sorted({str(one) for one in found})) or "unknown"


def _percent(count: str) -> float:
    return 100 * float(Fraction(count))


def _states(run: Mapping[str, Any], key: str) -> float | None:
    """Return on how many initial states a run has rolled out each training of a row's variant; None if it has not."""
    count: str | None = run["successes"].get(key)
    return int(count.split("/")[1]) / run["trainings_of"][key] if count else None


def _moves(
    runs: Sequence[Mapping[str, Any]], rows: Mapping[str, Sequence[str]], states: Mapping[str, Sequence[float | None]]
) -> list[tuple[float, str, float, float]]:
    """Return how far apart each row's rates lie, and from where to where.

    In the runs of the last one's scale and benchmark, on as many initial states.
    """
    alike = [all(run[fact] == runs[-1][fact] for fact in ("scale", "benchmark")) for run in runs]
    found = []
    for key, counts in rows.items():
        same = [fits and num == states[key][-1] for fits, num in zip(alike, states[key], strict=True)]
        rates = [_percent(count) for count, fits in zip(counts, same, strict=True) if fits and count]
        if len(rates) > 1:
            found.append((max(rates) - min(rates), key, min(rates), max(rates)))
    return found
