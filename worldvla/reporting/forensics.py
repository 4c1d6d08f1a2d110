"""The page of what the paper's printed numbers say by themselves; nothing of ours is on it."""

from pathlib import Path

from worldvla.metrics import published_rates
from worldvla.reporting import published_counts, published_differences
from worldvla.reporting.markdown import page, table
from worldvla.reporting.published import published
from worldvla.reporting.published_counts import Protocol
from worldvla.reporting.runs import SUITES
from worldvla.reporting.successes import AVERAGE, SIGNIFICANCE

# What the text of section 1 says of table 3, by its name among the published numbers; and the rows it is held against.
CLAIMED = {
    "world_model_helps": ("the world model helps the action model", [(2, 1), (5, 4)]),
    "chunks_hurt": ("chunks without the mask hurt", [(3, 1)]),
    "mask_helps": ("the mask helps chunks", [(4, 3)]),
}
TABLE5_CHUNK = 5  # its suite is Goal: section 4.1
TOKENS_PER_ACTION = 9  # seven numbers between two markers: section 3.2


def write_page(folder: Path) -> None:
    """Write ``forensics.md``."""
    ablations = Protocol.likeliest(published_counts.ablations())
    own = Protocol.likeliest(published_counts.own_rates())
    compared = published_differences.differences(ablations.episodes, own.episodes)
    averages, claims, fvd, timing = published_counts.averages(), _claims(), _fvd(), _timing()
    findings = [
        f"Episodes: {ablations.words('tables 3, 5 and 6')}; {own.words('the rows of WorldVLA in table 2')}.",
        averages[0],
        published_differences.in_short(compared),
        f"{claims[0]} {fvd[0]}",
        timing[0],
    ]
    text = page(
        "# Forensics: what the paper's printed numbers say by themselves, without any run of ours",
        "\n".join(f"- {finding}" for finding in findings),
        "## Every success rate as a count",
        *published_counts.counts(),
        "## How many episodes",
        *published_counts.episodes(),
        "## Averages recomputed",
        *averages[1:],
        "## Differences of table 3",
        f"n per row is what the section on episodes finds: {ablations.episodes} per suite, and for the average "
        f"{len(SUITES)} times as many, as one sample. The p is of the test of two proportions and the interval is Newcombe's, both as if the "
        "episodes of the two rows were independent: if they share initial states, a paired test could be sharper. "
        "Neither sees how much another training of the same row would change its rate.",
        published_differences.lines([one for one in compared if one.table == "Table 3"]),
        "## Differences of tables 6 and 2",
        f"As above, with n = {own.episodes} in table 2; OpenVLA's n is not stated and is taken to be the same. Of "
        f"{len(compared)} lines without any true difference about {SIGNIFICANCE * len(compared):.0f} would have "
        f"p < {SIGNIFICANCE}: corrected is Holm's p over the lines of both sections. Needed is the n at which the same "
        f"two rates would have p < {SIGNIFICANCE}.",
        published_differences.lines([one for one in compared if one.table != "Table 3"]),
        "## Claims of the text",
        *claims[1:],
        "## FVD",
        *fvd[1:],
        "## Frames per second",
        *timing[1:],
    )
    (folder / "forensics.md").write_text(text, encoding="utf-8")


def _claims() -> list[str]:
    """Return the finding, the explanation and the table of the claims about table 3."""
    rows, lines, short = published("table3"), [], []
    groups = (*SUITES, AVERAGE)
    for key, (words, pairs) in CLAIMED.items():
        claim = _range(published("section1")[key])
        spans = []
        for a, b in pairs:
            changes = {group: rows[a][group] - rows[b][group] for group in groups}
            relative = {group: 100 * changes[group] / rows[b][group] for group in groups}
            inside = [_inside(key, changes), _inside(key, relative)]
            cells = [f"{changes[group]:+.1f} ({relative[group]:+.0f} %)" for group in groups]
            lines.append([words, claim, f"{a} against {b}", *cells, *inside])
            span = f"{min(changes.values()):+.1f} to {max(changes.values()):+.1f} points"
            spans.append(f"{span}, {changes[AVERAGE]:+.1f} on average (row {a} against {b})")
        short.append(f"{words}, printed {claim}: {' and '.join(spans)}")
    header = ["Claim", "Printed", "Rows", *[group.capitalize() for group in groups]]
    return [
        f"Claims: {'; '.join(short)}.",
        "Differences in points, in brackets relative to the second row. The text says neither which of the two it "
        "means nor which rows; a change is inside a claim if it is so to the whole number. The text may also speak of "
        "figure 6, whose numbers are not printed.",
        table([*header, "Inside, points", "Inside, relative"], lines, right=header[3:]),
    ]


def _range(claim: dict[str, float]) -> str:
    low, high = claim["low"], claim["high"]
    return f"{low:+g} %" if low == high else f"{low:+g} to {high:+g} %"


def _inside(key: str, changes: dict[str, float]) -> str:
    low, high = (published("section1")[key][end] for end in ("low", "high"))
    return ", ".join(name for name, change in changes.items() if low - 0.5 <= round(change, 6) <= high + 0.5) or "none"


def _fvd() -> list[str]:
    """Return the finding, the explanation and the table of the claim about table 4."""
    world, joint, lines, short = published("table4")["world_model"], published("table4")["action_world_model"], [], []
    for frames in world:
        before, after = world[frames]["fvd"], joint[frames]["fvd"]
        relative = 100 * (after - before) / before
        inside = "no" if _inside("fvd", {"fvd": relative}) == "none" else "yes"
        lines.append([str(frames), f"{before}", f"{after}", f"{after - before:+.1f}", f"{relative:+.1f} %", inside])
        short.append(f"{relative:+.1f} % at {frames} frames")
    claim = _range(published("section1")["fvd"])
    header = ["Frames", "World model", "Action world model", "Change", "Relative", f"Is {claim}"]
    return [
        f"FVD, printed {claim}: {' and '.join(short)}.",
        "Lower is better. The number of clips is not stated and there is one run per model, so no interval can be "
        "given.",
        table(header, lines, right=header[:-1]),
    ]


def _timing() -> list[str]:
    """Return the finding, the explanation and the table of what table 5's frames per second imply."""
    without, chunks = published("table5")["without_chunking"], published("table5")["with_chunking"]
    times = {
        frames: published_rates.query_time(
            without[frames]["fps"], chunks[frames]["fps"], TABLE5_CHUNK, TOKENS_PER_ACTION
        )
        for frames in without
    }
    lines = []
    for frames, time in times.items():
        line = [str(frames), str(without[frames]["fps"]), str(chunks[frames]["fps"])]
        lines.append([*line, f"{1000 * time.per_token:.1f} ms", f"{1000 * time.before:.0f} ms"])
    tokens = [1000 * time.per_token for time in times.values()]
    fewest, most = min(times), max(times)
    frame = 1000 * (times[most].before - times[fewest].before) / (most - fewest)
    header = ["Frames of the history", "FPS, no chunks", "FPS, chunks", "Per token", "Before the first token"]
    return [
        f"Speed, an inference: table 5's frames per second imply {min(tokens):.1f} to {max(tokens):.1f} ms per decoded "
        f"token and {frame:.0f} ms per further frame of the history.",
        "Solved per line from FPS = K / (p + n t), with t per token, p before the first one, and "
        f"n = {TOKENS_PER_ACTION} K + 1 tokens for K = 1 and K = {TABLE5_CHUNK} actions. The paper states neither this "
        "formula nor the GPU; that the same t comes out of every line, "
        f"within {100 * (max(tokens) / min(tokens) - 1):.0f} %, is what speaks for it.",
        table(header, lines, right=header),
    ]
