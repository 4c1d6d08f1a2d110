"""The pages that are tables of success rates: each an entry of ``rates.yaml``."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from worldvla.params.released import CHECKPOINTS
from worldvla.params.report import ReportedVariant, ReportParams
from worldvla.reporting.contents import RATES
from worldvla.reporting.inference import effects
from worldvla.reporting.inference.effects import Effect
from worldvla.reporting.inference.measured import rate
from worldvla.reporting.inference.published import comparability, paper_rate
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Absent, Rollouts, Run, groups
from worldvla.reporting.pages import forms
from worldvla.reporting.pages.history import other_runs
from worldvla.reporting.pages.row import Row
from worldvla.reporting.pages.template import render, write
from worldvla.reporting.pictures import curves, forest
from worldvla.reporting.words import signed

RELEASED = {"released_256": "worldvla_256", "released_512": "worldvla_512"}  # their rows of the paper's table 2


class Line:
    """A row on one suite or on all: the paper's rate and ours, or why there is none."""

    def __init__(self, inputs: Inputs, row: Row, suites: Sequence[str]):
        params, found = inputs.params, inputs.rollouts.all_of(row.variant, suites)
        self.row, self.paper = row, paper_rate(row.paper, suites)
        self.runs: list[Run] = [] if isinstance(found, Absent) else found
        self.ours = rate(params, self.runs) if self.runs else None
        self.why = str(found) if isinstance(found, Absent) else ""
        self.counts = "/".join(str(sum(run.counts[place] for run in self.runs)) for place in (0, 1))
        self.failures = sum(row["policy_failures"] for run in self.runs for row in run.rows)
        # Of the paper's own weights the numbers may be comparable where ours are not.
        own = row.variant in params.released and self.runs and self.paper is not None
        self.comparable = comparability(params, self.runs) if own else ""


def rows_of(params: ReportParams, name: str) -> list[Row]:
    """Return the rows of a page; beside the paper's own weights, where they are rolled out."""
    found = []
    for entry in RATES[name]["rows"]:
        variant, paper = entry["variant"], entry.get("paper", ())
        if "images" in entry:
            sizes = sorted((params.variants[one].pixels, one) for one in entry["images"] if one in params.variants)
            # One size alone is neither the smaller nor the larger: it stands beside no number of the paper.
            paper = paper if len(sizes) > 1 else ()
            alone = sizes[0][1] if sizes and variant == "smaller" else entry["images"][-1]
            variant = (sizes[0] if variant == "smaller" else sizes[-1])[1] if len(sizes) > 1 else alone
        known = params.variants.get(variant)
        if known and known.history != entry.get("history", known.history):
            paper = ()
        found.append(Row(entry["key"], _label(entry, known, params), variant, paper, entry.get("beside", "")))
    if "released" in RATES[name].get("forms", ()):
        for one in params.released:
            label = f"the paper's weights, {CHECKPOINTS[one].pixels} px"
            found.append(Row(one, label, one, ("table2", RELEASED[one])))
    return found


def _label(entry: Mapping[str, Any], known: ReportedVariant | None, params: ReportParams) -> str:
    words, than = entry["label"], entry.get("longer_than", "")
    if known is None:
        return words.format(pixels="other images", history="other frames", chunk="other length", longer="longer")
    longer = effects.times_as_long(params, entry["variant"], than) or "longer"
    lengths = " or ".join(str(num) for num in sorted({known.chunk[suite] for suite in params.suites}))
    frames = f"{known.history} frame{'s' * (known.history > 1)}"
    return words.format(pixels=f"{known.pixels} px", history=frames, chunk=f"{lengths} actions", longer=longer)


def shown(params: ReportParams, rows: Sequence[Row], rollouts: Rollouts) -> list[Row]:
    """Return the rows to show: beside the paper's own weights, ours only where they have been run."""
    if not set(params.released) & {row.variant for row in rows}:
        return list(rows)
    ran = {row.variant for row in rows for suite in params.suites if isinstance(rollouts.run(row.variant, suite), Run)}
    return [row for row in rows if row.variant in params.released or row.variant in ran]


def title_of(name: str) -> str:
    """Return what a page is called in the text."""
    return f"{name.rstrip('0123456789').capitalize()} {name.lstrip('abcdefghijklmnopqrstuvwxyz')}".rstrip()


def write_page(folder: Path, inputs: Inputs, name: str) -> None:
    """Write the page of an entry, and its chart."""
    entry, params = RATES[name], inputs.params
    rows = shown(params, rows_of(params, name), inputs.rollouts)
    lines = {group: [Line(inputs, row, suites) for row in rows] for group, suites in groups(params).items()}
    compared = {group: _compared(inputs, name, rows, suites) for group, suites in groups(params).items()}
    write(
        folder / f"{name}.md",
        inputs,
        template="rates",
        name=name,
        title=title_of(name),
        entry={"says": ""} | entry,
        own=any(row.variant not in params.released for row in rows),
        drawn=_draw(folder / f"{name}.png", inputs, name, lines),
        groups=[
            {
                "name": group,
                "tasks": tasks(params, [line.runs for line in lines[group]]),
                "lines": lines[group],
                "failures": [f"{line.row.key}: {line.failures}" for line in lines[group] if line.failures],
                "compared": compared[group],
            }
            for group in lines
        ],
        forms=[
            *[block for form in entry.get("forms", ()) for block in forms.FORMS[form](folder, inputs, rows)],
            *other_runs(inputs, rows),
        ],
    )


def tasks(params: ReportParams, found: Iterable[Sequence[Run]]) -> str:
    """Return the sentence on how many tasks are scored, and which are left out and why; nothing without any run."""
    runs = [run for some in found for run in some]
    num = len({(run.suite, row["task"]) for run in runs for row in run.rows})
    left_out = sorted({(run.suite, task) for run in runs for task in run.left_out})
    suites = {run.suite for run in runs} & set(params.num_tasks)
    chosen, every = (sum(params.num_tasks[suite][place] for suite in suites) for place in (0, 1))
    cut = f" Of {every} tasks {chosen} were chosen, by `tasks` in params.yaml." if chosen < every else ""
    if not left_out:
        return f"Scored on {num} task{'s' * (num > 1)}.{cut}" if num else ""
    several = len({suite for suite, _ in left_out}) > 1
    names = ", ".join(f"“{task.replace('_', ' ')}”{f' ({suite})' * several}" for suite, task in left_out)
    be, them = ("is", "it") if len(left_out) == 1 else ("are", "them")
    return (
        f"Scored on {num} of {num + len(left_out)} tasks: {names} {be} left out, for the split `{params.split}` holds "
        f"{them} out of training.{cut}"
    )


def _compared(
    inputs: Inputs, name: str, rows: Sequence[Row], suites: Sequence[str]
) -> list[tuple[str, Effect | str, str]]:
    """Return the comparisons whose rows both have data: which rows, what they give or why nothing, and the paper's."""
    params, by_key, found = inputs.params, {row.key: row for row in rows}, []
    for comparison in [*RATES[name]["comparisons"], {"rows": list(reversed(params.released))}]:
        if len(comparison["rows"]) < 2 or not set(comparison["rows"]) <= set(by_key):
            continue
        first, second = (by_key[key] for key in comparison["rows"])
        if any(isinstance(inputs.rollouts.all_of(row.variant, suites), Absent) for row in (first, second)):
            continue
        papers = [paper_rate(row.paper, suites) for row in (first, second)]
        paper = comparison.get("says", "")
        if papers[0] is not None and papers[1] is not None:
            paper = signed(papers[0] - papers[1], "points")
        effect = _alike(params, comparison.get("alike", ""), first, second, suites) or effects.rates(
            params, inputs.rollouts, (first.variant, second.variant), suites
        )
        found.append((f"{first.key} against {second.key}", effect, paper))
    return found


def _alike(params: ReportParams, what: str, first: Row, second: Row, suites: Sequence[str]) -> str:
    """Return why two rows are not compared: they differ in what both must have in common; nothing if they do not."""
    if what != "chunk" or any(row.variant not in params.variants for row in (first, second)):
        return ""
    lengths = [[params.variants[row.variant].chunk[suite] for suite in suites] for row in (first, second)]
    return "" if lengths[0] == lengths[1] else "not compared: chunks of different lengths"


def headline(inputs: Inputs, name: str) -> str:
    """Return the table of the first page: rows by suites."""
    found = shown(inputs.params, rows_of(inputs.params, name), inputs.rollouts)
    of_suites = groups(inputs.params)
    rows = [[Line(inputs, row, suites) for suites in of_suites.values()] for row in found]
    return render("headline_rates", groups=of_suites, rows=rows, with_paper=any(row.paper for row in found))


def _draw(path: Path, inputs: Inputs, name: str, lines: Mapping[str, Sequence[Line]]) -> bool:
    """Draw a page's chart; return whether it has one, and anything to show on it."""
    params, entry = inputs.params, RATES[name].get("chart", {})
    heading = f"{title_of(name)} on the benchmark {params.benchmark}, scale {params.scale}, seed {params.seed}"
    if "curves" in entry:
        unit = {"chunk": "actions per chunk", "history": "frames of the history"}[entry["over"]]
        panels = {group: _curves(params, entry, lines[group], suites) for group, suites in groups(params).items()}
        return curves.success_curves(path, panels, heading, unit)
    drawn = []
    for group, of_group in lines.items():
        for line in of_group:
            if line.ours is None or not entry:
                continue
            key, label = line.row.key, line.row.label
            named = f"{group}: {key}. {label}" if key[0].isdigit() else f"{group}: {label}"
            marks = {} if line.paper is None else {"the paper's, on LIBERO with 7 B": line.paper}
            drawn.append(forest.Line(named, line.ours, marks))
    return forest.draw(path, drawn, heading, "success rate, %", limits=(0, 100))


def _curves(
    params: ReportParams, entry: Mapping[str, Any], lines: Sequence[Line], suites: Sequence[str]
) -> list[curves.Curve]:
    ours = {line.row.variant: line.ours for line in lines}
    found = []
    for label, variants in entry["curves"].items():
        points = []
        for one in variants:
            if measured := ours.get(one):
                known = params.variants[one]
                x = known.history if entry["over"] == "history" else known.chunk[suites[0]]
                points.append(curves.Point(x, measured, one))
        found.append(curves.Curve(label, sorted(points, key=lambda point: point.x)))
    return found
