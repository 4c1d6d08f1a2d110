"""The earlier runs of this repository: how much the rates of a page move from one to the next."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import yaml

from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Run, in_order
from worldvla.reporting.markdown import table
from worldvla.reporting.provenance import timing_of

RUNS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("history.yaml").read_text(encoding="utf-8"))
FACTS = ("code", "date", "scale", "benchmark", "steps", "optimizer", "seed", "trainings", "machine")
ABOUT = (
    "Every earlier run of the default whose report was committed, by that commit and from that report. A difference between "
    "two runs is one of steps, optimizer, code and chance together."
)


def other_runs(inputs: Inputs, rows: Sequence[Any]) -> list[str]:
    """Return the rates of a page's rows in the earlier runs and, last, in this one; nothing where none has any of them."""
    blocks = []
    for suite in in_order(inputs.params.suites):
        before = [run for run in RUNS if {row.variant for row in rows} & run["successes"].get(suite, {}).keys()]
        if before:
            blocks += _suite(rows, suite, [*before, _this(inputs, rows, suite)])
    return ["## Other runs of this table", ABOUT, *blocks] if blocks else []


def _this(inputs: Inputs, rows: Sequence[Any], suite: str) -> dict[str, Any]:
    """Return this report's runs in the form of ``history.yaml``."""
    params, found = inputs.params, {row.variant: inputs.rollouts.run(row.variant, suite) for row in rows}
    ran = {name: run for name, run in found.items() if isinstance(run, Run) and name in params.variants}
    records, steps = [], set[int]()
    for name, run in ran.items():
        for part in run.parts.values():
            records.append(timing_of(inputs.timing, part.name, "rollout"))
            if (curve := inputs.models / part.name / "curve.parquet").exists():
                kinds = params.variants[name].times * len(params.variants[name].samples)
                steps.add(pq.read_metadata(curve).num_rows // kinds)
    timed = [record for record in records if record["seconds"] is not None]
    return {
        "reports": "this report",
        "code": _listed(record["commit"] for record in timed),
        "date": _listed(record["date"].split(" ")[0] for record in timed),
        "scale": params.scale,
        "benchmark": params.benchmark,
        "steps": _listed(steps),
        "optimizer": f"as in `conf/{params.scale}.yaml`",
        "seed": params.seed,
        "trainings": _listed(len(run.parts) for run in ran.values()),
        "machine": _listed(record["hardware"] for record in timed),
        "successes": {suite: {name: "/".join(map(str, run.counts)) for name, run in ran.items()}},
    }


def _listed(found: Iterable[object]) -> str:
    return ", ".join(sorted({str(one) for one in found})) or "unknown"


def _suite(rows: Sequence[Any], suite: str, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table of a suite, a column per run, and how far a row moves among those of this scale and benchmark."""
    lines, this = [[fact, *[str(run[fact]) for run in runs]] for fact in FACTS], runs[-1]
    moves: list[tuple[float, str]] = []
    alike = [all(run[fact] == this[fact] for fact in ("scale", "benchmark")) for run in runs]
    for row in rows:
        counts = [run["successes"][suite].get(row.variant, "") for run in runs]
        rates = [100 * float(Fraction(count)) if count else None for count in counts]
        cells = ["" if rate is None else f"{count} = {rate:.1f} %" for count, rate in zip(counts, rates, strict=True)]
        lines += [[f"row {row.key}", *cells]] * any(counts)
        known = [rate for rate, same in zip(rates, alike, strict=True) if same and rate is not None]
        if len(known) > 1:
            low, high = min(known), max(known)
            moves.append((high - low, f"row {row.key}: {low:.1f} to {high:.1f} %"))
    header = [suite.capitalize(), *[run["reports"] for run in runs]]
    blocks = [table(header, lines, right=header[1:])]
    if moves:
        most, where = max(moves)
        blocks.append(
            f"At scale `{this['scale']}` a row's rates lie {fmean(move for move, _ in moves):.1f} points apart in the mean over "
            f"the rows, and {most:.1f} at most ({where})."
        )
    return blocks
