"""The pages that are tables of success rates: each an entry of ``rates.yaml``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from worldvla.metrics.trainings import contrast
from worldvla.params.released import CHECKPOINTS
from worldvla.params.report import ReportedVariant, ReportParams
from worldvla.reporting.contents import RATES
from worldvla.reporting.inference import effects
from worldvla.reporting.inference.effects import Effect, between, interval_of, span
from worldvla.reporting.inference.published import comparability, paper_rate
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import AVERAGE, Absent, Rollouts, Run, groups
from worldvla.reporting.markdown import page, table
from worldvla.reporting.pages import forms
from worldvla.reporting.pictures import curves, forest
from worldvla.reporting.provenance import link

RELEASED = {"released_256": "worldvla_256", "released_512": "worldvla_512"}  # their rows of the paper's table 2
INTERVALS = (
    "Over initial states: Wilson's interval at 95 % of a rate and Newcombe's of a difference, a state counted once however many "
    "trainings tried it; it is for these trainings. Over trainings: Student's t of a rate and Welch's t of a difference, whose "
    "sample is the trainings' own rates; it is for these initial states, and by it alone a row is called higher or lower. SD: how "
    "far single trainings spread."
)


@dataclass(frozen=True)
class Row:
    """A row of a table of success rates."""

    key: str
    label: str
    variant: str
    paper: Sequence[str | int] = field(default=())  # where its rates stand in published.yaml
    beside: str = ""  # key of the row to whose speed its own is put


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
    listed = shown(params, rows_of(params, name), inputs.rollouts)
    own = any(row.variant not in params.released for row in listed)
    blocks = [
        block
        for group, suites in groups(params).items()
        for block in _group(inputs, listed, entry["comparisons"], group, suites)
    ]
    text = page(
        f"# {title_of(name)} at scale `{params.scale}`: {entry['title']}",
        f"{inputs.about} Rollouts from initial states that no demonstration used. {entry['about'].strip() if own else ''} "
        f"Ours and the paper's are {comparability(params)}.",
        entry.get("says", "").strip(),
        INTERVALS,
        _chart(folder, inputs, name, listed),
        *blocks,
        *[block for form in entry.get("forms", ()) for block in forms.FORMS[form](folder, inputs, listed)],
    )
    (folder / f"{name}.md").write_text(text, encoding="utf-8")


def _group(
    inputs: Inputs, rows: Sequence[Row], comparisons: Sequence[Mapping[str, Any]], group: str, suites: Sequence[str]
) -> list[str]:
    """Return the blocks of one suite, or of the average of all."""
    title = "Average of the suites" if group == AVERAGE else f"{group.capitalize()} suite"
    found = {row.key: inputs.rollouts.all_of(row.variant, suites) for row in rows}
    failures = [
        f"{key}: {count}"
        for key, runs in found.items()
        if not isinstance(runs, Absent) and (count := sum(row["policy_failures"] for run in runs for row in run.rows))
    ]
    return [
        f"## {title}",
        tasks(inputs.params, found.values()),
        _rates(inputs.params, rows, found, suites),
        f"Episodes that ended because the answer was no chunk of actions: {', '.join(failures)}." if failures else "",
        *_pairs(inputs, rows, comparisons, suites),
    ]


def tasks(params: ReportParams, found: Sequence[list[Run] | Absent] | Any) -> str:
    """Return the sentence on how many tasks are scored, and which are left out and why; nothing without any run."""
    runs = [run for some in found if not isinstance(some, Absent) for run in some]
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


def _rates(
    params: ReportParams, rows: Sequence[Row], found: Mapping[str, list[Run] | Absent], suites: Sequence[str]
) -> str:
    header = ["Row", "Model", "Paper", "Ours", "Over initial states", "Over trainings", "Trainings, %"]
    lines = []
    for row in rows:
        paper, runs = paper_rate(row.paper, suites), found[row.key]
        line = [row.key, row.label, "" if paper is None else f"{paper:.1f} %"]
        if isinstance(runs, Absent):
            lines.append([*line, str(runs), "", "", ""])
            continue
        successes, episodes = (sum(run.counts[place] for run in runs) for place in (0, 1))
        line.append(f"{successes}/{episodes} = {effects.rate(runs):.1f} %")
        line.append(between(effects.rate_interval(runs)))
        over = contrast([(1 / len(runs), list(run.rates().values())) for run in runs])
        line.append(between(interval_of(over)))
        released = runs if row.variant in params.released else ()
        note = f"; {comparability(params, released)}" if released and paper is not None else ""
        lines.append([*line, trainings(runs) + note])
    return table(header, lines, right=["Paper", "Over initial states", "Over trainings"])


def trainings(runs: Sequence[Run]) -> str:
    """Return each training's own rate, which leads to its run, and how far those of a suite spread."""
    listed = []
    for run in runs:
        rates = run.rates()
        words = ", ".join(link(f"{percent:.1f}", run.parts[number].name) for number, percent in rates.items())
        listed.append(words + (f"; SD {stdev(rates.values()):.1f}" if len(rates) > 1 else ""))
    return " and ".join(listed)


def _pairs(
    inputs: Inputs, rows: Sequence[Row], comparisons: Sequence[Mapping[str, Any]], suites: Sequence[str]
) -> list[str]:
    """Return the table of the comparisons whose rows both have data; nothing if none has."""
    params, by_key, lines = inputs.params, {row.key: row for row in rows}, []
    if "released" in {row.variant[:8] for row in rows}:
        comparisons = [*comparisons, {"rows": list(reversed(params.released))}]
    for comparison in comparisons:
        if len(comparison["rows"]) < 2 or not set(comparison["rows"]) <= set(by_key):
            continue
        first, second = (by_key[key] for key in comparison["rows"])
        if any(isinstance(inputs.rollouts.all_of(row.variant, suites), Absent) for row in (first, second)):
            continue
        papers = [paper_rate(row.paper, suites) for row in (first, second)]
        paper = comparison.get("says", "")
        if papers[0] is not None and papers[1] is not None:
            paper = effects.signed(papers[0] - papers[1], "points")
        found = _alike(params, comparison.get("alike", ""), first, second, suites) or effects.rates(
            params, inputs.rollouts, [(first.variant, second.variant)], suites
        )
        names = f"{first.key} against {second.key}"
        if isinstance(found, str):
            lines.append([names, found, "", "", "", paper])
        else:
            over = span(interval_of(found.trainings))
            lines.append([names, reads(params, found), found.words, over, span(found.beside), paper])
    header = ["Rows", "Verdict", "Ours", "Over trainings", "Over initial states", "Paper"]
    return [table(header, lines, right=["Ours", "Over trainings", "Over initial states"])] if lines else []


def reads(params: ReportParams, found: Effect) -> str:
    """Return what an effect says of its first row: higher, lower or open; and what else differs."""
    if few := found.too_few(params.claims.trainings):
        way = f"too few trainings: {few}"
    elif found.trainings is None or found.trainings.low <= 0 <= found.trainings.high:
        way = "open"
    else:
        way = "higher" if found.value > 0 else "lower"
    return "; ".join([way, *found.notes])


def _alike(params: ReportParams, what: str, first: Row, second: Row, suites: Sequence[str]) -> str:
    """Return why two rows are not compared: they differ in what both must have in common; nothing if they do not."""
    if what != "chunk" or any(row.variant not in params.variants for row in (first, second)):
        return ""
    lengths = [[params.variants[row.variant].chunk[suite] for suite in suites] for row in (first, second)]
    return "" if lengths[0] == lengths[1] else "not compared: chunks of different lengths"


def headline(inputs: Inputs, name: str) -> str:
    """Return the table of the first page: rows by suites."""
    params = inputs.params
    rows, header, lines = shown(params, rows_of(params, name), inputs.rollouts), ["Row", "Model"], []
    with_paper = any(row.paper for row in rows)
    for group in groups(params):
        header += [f"{group}: ours", *[f"{group}: paper"] * with_paper]
    for row in rows:
        line = [row.key, row.label]
        for suites in groups(params).values():
            paper = paper_rate(row.paper, suites)
            line.append(brief(inputs.rollouts.all_of(row.variant, suites)))
            line += ["" if paper is None else f"{paper:.1f} %"] * with_paper
        lines.append(line)
    return table(header, lines, right=[name for name in header if name.endswith("paper")])


def brief(runs: list[Run] | Absent) -> str:
    """Return a rate, its interval over initial states, and the spread of the trainings in one cell."""
    if isinstance(runs, Absent):
        return str(runs)
    spreads = [stdev(run.rates().values()) for run in runs if len(run.rates()) > 1]
    spread = f"; SD {fmean(spreads):.1f}" if spreads else ""
    return f"{effects.rate(runs):.1f} % ({between(effects.rate_interval(runs))}){spread}"


def _chart(folder: Path, inputs: Inputs, name: str, rows: Sequence[Row]) -> str:
    """Draw a page's chart; return the block that shows it, or nothing without any run."""
    entry, params = RATES[name].get("chart"), inputs.params
    heading = f"{title_of(name)} on the benchmark {params.benchmark}, scale {params.scale}, seed {params.seed}"
    if entry is None:
        return ""
    panels: dict[str, list[Any]] = {}
    for group, suites in groups(params).items():
        panels[group] = []
        if "curves" in entry:
            for label, variants in entry["curves"].items():
                points = [_point(inputs, variant, entry["over"], suites) for variant in variants]
                panels[group].append(curves.Curve(label, sorted(filter(None, points), key=lambda point: point.x)))
            continue
        for row in rows:
            if not isinstance(runs := inputs.rollouts.all_of(row.variant, suites), Absent):
                over = contrast([(1 / len(runs), list(run.rates().values())) for run in runs])
                paper = paper_rate(row.paper, suites)
                marks = {} if paper is None else {"the paper's, on LIBERO with 7 B": paper}
                label = f"{group}: {row.key}. {row.label}" if row.key[0].isdigit() else f"{group}: {row.label}"
                own = [percent for run in runs for percent in run.rates().values()] if len(runs) == 1 else []
                ends = effects.rate_interval(runs), interval_of(over)
                panels[group].append(forest.Line(label, effects.rate(runs), *ends, marks, own))
    path = folder / f"{name}.png"
    if "curves" in entry:
        unit = {"chunk": "actions per chunk", "history": "frames of the history"}[entry["over"]]
        drawn = curves.success_curves(path, panels, heading, unit)
    else:
        drawn = forest.draw(
            path, [line for lines in panels.values() for line in lines], heading, "success rate, %", limits=(0, 100)
        )
    return f"![success rates with intervals]({name}.png)" if drawn else ""


def _point(inputs: Inputs, variant: str, over: str, suites: Sequence[str]) -> curves.Point | None:
    runs = inputs.rollouts.all_of(variant, suites)
    if isinstance(runs, Absent):
        return None
    known = inputs.params.variants[variant]
    x = known.history if over == "history" else known.chunk[suites[0]]
    own = [percent for run in runs for percent in run.rates().values()] if len(runs) == 1 else []
    return curves.Point(x, effects.rate(runs), effects.rate_interval(runs), variant, own)
