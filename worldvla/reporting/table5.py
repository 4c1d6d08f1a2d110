"""The page of table 5: how many frames of the history the action model needs, and what they cost in speed."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.params.trainings import ONCE, run_name
from worldvla.reporting import rate_pages, successes
from worldvla.reporting.curves import Curve, points, success_curves
from worldvla.reporting.markdown import table
from worldvla.reporting.published import published
from worldvla.reporting.runs import Absent
from worldvla.reporting.speed import Speed, Speeds
from worldvla.reporting.successes import AVERAGE, Comparison, Group, Row, Runs, groups

SUITE = "goal"  # the paper's table 5 has no other
# Kind of answer, its name in published.yaml, and our variants by the paper's number of frames.
ANSWERS = {
    "without chunks": ("without_chunking", {1: "action_h1", 2: "action", 4: "action_h4"}),
    "with chunks": ("with_chunking", {1: "action_chunk_mask_h1", 2: "action_chunk_mask", 4: "action_chunk_mask_h4"}),
}

Histories = list[tuple[int, Row]]  # frames of the history, and the row that has them


def by_answer(params: ReportParams) -> dict[str, Histories]:
    """Return the rows by kind of answer, from the fewest frames to the most.

    The frames are those of ``params``, whatever a variant is called; the paper's rate stands beside the same number.
    """
    return {answer: _histories(params, answer) for answer in ANSWERS}


def rows(params: ReportParams) -> list[Row]:
    """Return the rows of the table."""
    return [row for histories in by_answer(params).values() for _, row in histories]


def _histories(params: ReportParams, answer: str) -> Histories:
    name, variants = ANSWERS[answer]
    found = []
    for usual, variant in variants.items():
        frames = params.variants[variant].history if variant in params.variants else usual
        paper = {SUITE: published("table5")[name][frames]["rate"]} if frames in published("table5")[name] else {}
        row = Row(
            variant, f"the model with {_words(frames)}", f"action model, {answer}, {_words(frames)}", variant, paper
        )
        found.append((frames, row))
    return sorted(found, key=lambda pair: pair[0])


def _words(frames: int) -> str:
    return f"{frames} frame{'s' * (frames > 1)}"


def write_page(folder: Path, params: ReportParams, runs: Runs, speeds: Speeds, timing: Path) -> None:
    """Write ``table5.md`` and its chart.

    Args:
        folder: the reports.
        params: what the reports are about.
        runs: the runs of `rows`.
        speeds: of the same rows.
        timing: folder of the wall-clock files.
    """
    curves = {successes.heading(group): _curves(params, members) for group, members in groups(runs).items()}
    title = rate_pages.chart_title("table5", params)
    drawn = success_curves(folder / "table5.png", curves, title, "frames of the history")
    rate_pages.write(
        folder,
        "table5",
        params,
        runs,
        timing,
        title="success rate and speed over the frames of the history",
        about="Chunks are under our mask; two frames are rows 1 and 4 of [table 3](table3.md). The paper has the goal "
        "suite only, on LIBERO with a model of 7 B, n = 450 by all signs.",
        blocks=[
            "The paper's FPS are on a GPU that it does not name; by all signs it decodes one token after the other "
            "([forensics](forensics.md)). Ours are actions per second: those of a chunk over the median time of a "
            "query, one at a time, which encodes the frames that are new and decodes the chunk, all actions at once "
            "under our mask; on one thread of the processor, or on the GPU where one is named. The two are not "
            "comparable; what either says is what a further frame costs.",
            headline(params, runs, speeds),
            "![success rates over the frames of the history](table5.png)" if drawn else "",
            *[block for group, members in groups(runs).items() for block in _group(params, group, members, speeds)],
        ],
        sources=_measured(speeds),
    )


def headline(params: ReportParams, runs: Runs, speeds: Speeds) -> str:
    """Return the table in the paper's layout, which is also that of the first page."""
    answers = by_answer(params)
    numbers = sorted({frames for histories in answers.values() for frames, _ in histories})
    header = ["Suite", "Answer"]
    for frames in numbers:
        header += [f"{_words(frames)}: ours", f"{_words(frames)}: paper"]
    lines = []
    for group, members in groups(runs).items():
        for answer, histories in answers.items():
            line = [group, answer]
            for frames in numbers:
                chosen = [row for number, row in histories if number == frames]
                line.append("; ".join(_ours(row, members, speeds.get(group, {})) for row in chosen))
                line.append(_paper(answer, frames) if group == SUITE and chosen else "")
            lines.append(line)
    return table(header, lines)


def _ours(row: Row, members: Group, speeds: Mapping[str, Speed | Absent]) -> str:
    """Return the success rate of a row and, of a suite, its speed."""
    words = successes.brief(members[row.key])
    if row.key not in speeds:
        return words
    speed = speeds[row.key]
    return f"{words}, {speed} actions/s" if isinstance(speed, Speed) else f"{words}; speed {speed}"


def _paper(answer: str, frames: int) -> str:
    numbers = published("table5")[ANSWERS[answer][0]].get(frames)
    return f"{numbers['rate']:.1f} %, {numbers['fps']:.2f} FPS" if numbers else ""


def _curves(params: ReportParams, members: Group) -> list[Curve]:
    return [
        Curve(answer, points([(frames, row.key, members[row.key]) for frames, row in histories]))
        for answer, histories in by_answer(params).items()
    ]


def _group(params: ReportParams, group: str, members: Group, speeds: Speeds) -> list[str]:
    """Return the blocks of one suite, with its speeds; or those of the average."""
    blocks = successes.section(params, rows(params), _comparisons(params), group, members)
    if group == AVERAGE:
        return blocks
    return [*blocks, f"### {group.capitalize()}: speed", _speeds(params, group, speeds[group])]


def _comparisons(params: ReportParams) -> list[Comparison]:
    """Return each number of frames against the next smaller one."""
    return [
        Comparison(more.key, fewer.key, "more frames help")
        for histories in by_answer(params).values()
        for (num_fewer, fewer), (num_more, more) in pairwise(histories)
        if num_fewer < num_more
    ]


def _speeds(params: ReportParams, suite: str, speeds: Mapping[str, Speed | Absent]) -> str:
    header = ["Row", "Model", "Paper: FPS", "Actions per second", "Query, ms", "Queries", "Hardware"]
    lines = []
    for answer, histories in by_answer(params).items():
        for frames, row in histories:
            speed = speeds[row.key]
            numbers = published("table5")[ANSWERS[answer][0]].get(frames, {}) if suite == SUITE else {}
            line = [row.key, row.label, f"{numbers['fps']:.2f}" if numbers else "", str(speed)]
            if isinstance(speed, Speed):
                lines.append([*line, f"{speed.query_ms:.1f}", str(speed.num_queries), speed.hardware])
            else:
                lines.append([*line, "", "", ""])
    return table(header, lines, right=header[2:-1])


def _measured(speeds: Speeds) -> str:
    """Return one item per speed: command, commit and date."""
    return "\n".join(
        f"- `dvc repro speed@{run_name(key, suite, *ONCE)}`: commit {speed.commit}, {speed.date}"
        for suite, members in speeds.items()
        for key, speed in members.items()
        if isinstance(speed, Speed)
    )
