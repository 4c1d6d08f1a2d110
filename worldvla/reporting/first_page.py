"""The first page: what the paper claims and what we see, the tables in short, and the list of pages."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting import claims, figure6, figure7, released, successes, table2, table3, table4, table5, table6
from worldvla.reporting.clips import VideoMetrics
from worldvla.reporting.markdown import page
from worldvla.reporting.provenance import simulator
from worldvla.reporting.published import comparability
from worldvla.reporting.runs import Absent
from worldvla.reporting.speed import Speeds
from worldvla.reporting.successes import Row, Runs
from worldvla.reporting.verdicts import Judged

PAGES = {
    "claims": "Claims: what the paper claims, ours beside it, the test, the power at our n, and how it reads",
    "table1": "Table 1: the kinds of models of actions and videos, and which of them are trained here",
    "table2": "Table 2: the benchmark; all demonstrations for training, images of two sizes, the paper's other models",
    "table3": "Table 3: chunks, action mask and world model; intervals, rows compared, tasks, episodes",
    "table4": "Table 4: predicted clips; scores, use of the action, copying, the two world models compared",
    "table5": "Table 5: one, two and four frames of the history, without and with chunks; success rates and speed",
    "table6": "Table 6: the action model that starts from the world model's weights",
    "figure4": "Figure 4: the same episodes by the action model and by the action world model",
    "figure5": "Figure 5: predicted clips below the truth, as pictures and in motion",
    "figure6": "Figure 6: success rates over the length of the chunk, under the plain mask and under ours",
    "figure7": "Figure 7: a world model or video prediction beside the action model",
    "training": "Training: the loss of every model, and what the images keep after the tokenizer",
    "forensics": "Forensics: what the paper's printed numbers say by themselves; episodes, averages, differences, claims",
}


def rows(params: ReportParams) -> dict[str, Sequence[Row]]:
    """Return the rows of every page about success rates."""
    return {
        "table2": table2.rows(params),
        "table3": table3.ROWS,
        "table5": table5.rows(params),
        "table6": table6.ROWS,
        "figure6": figure6.ROWS,
        "figure7": figure7.ROWS,
    }


def write_page(
    folder: Path,
    params: ReportParams,
    runs: Mapping[str, Runs],
    speeds: Speeds,
    metrics: Mapping[str, VideoMetrics | Absent],
    judged: Mapping[str, Judged],
) -> None:
    """Write ``README.md``.

    Args:
        folder: the reports.
        params: what the reports are about.
        runs: page -> the runs of its `rows`.
        speeds: of the rows of table 5.
        metrics: scored clips by suite.
        judged: the paper's claims, by their keys.
    """
    by_page = rows(params)
    text = page(
        f"# WorldVLA, reproduced at scale `{params.scale}`",
        f"Benchmark `{params.benchmark}`, {params.demonstrations} demonstrations, seed {params.seed}. Ours and the "
        f"paper's are {comparability(params)}. In brackets the 95 % interval: Wilson's for success rates, over "
        "episodes; bootstrap for PSNR, over clips.",
        " ".join(
            filter(
                None,
                [
                    successes.tasks_but_table2(params, by_page["table3"], runs["table3"]),
                    simulator([run for page_runs in runs.values() for run in successes.present(page_runs)]),
                ],
            )
        ),
        "## What the paper claims",
        f"{claims.count(judged)} They are about directions, so they are judged on this benchmark at this scale, "
        f"suites: {', '.join(params.suites)}. An interval is over episodes or clips, all trainings together, not over "
        f"trainings; on fewer than {params.claims.trainings} trainings of each of the two models nothing is judged.",
        claims.summary(params, judged),
        "The paper: its average, then the suites that we have. Ours: differences on the same initial states, or on the "
        f"same clips. {claims.chance(params, judged)} Thresholds, tests and the smallest effects that we would find: "
        "[claims](claims.md).",
        "## Table 2: all demonstrations, images of two sizes",
        "The paper's rows are of 256 and of 512 pixels; its other models are on the page.",
        successes.headline(params, released.shown(params, list(by_page["table2"]), runs["table2"]), runs["table2"]),
        "## Table 3: success rates",
        successes.headline(params, by_page["table3"], runs["table3"]),
        "## Table 4: predicted clips",
        "PSNR in dB, without the given frame; SSIM, LPIPS and the distances of sets are on the page.",
        table4.headline(params, metrics),
        "## Table 5: frames of the history",
        "The paper has the goal suite only; its frames per second (FPS) are on another machine than our actions per "
        "second. Comparisons of rows and milliseconds per query are on the page.",
        table5.headline(params, runs["table5"], speeds),
        "## Table 6: pretraining as a world model",
        successes.headline(params, by_page["table6"], runs["table6"]),
        "## Figure 6: length of the chunk",
        "The paper has a chart without numbers.",
        figure6.headline(params, runs["figure6"]),
        "## Figure 7: world model or video prediction",
        "The paper has a chart without numbers.",
        successes.headline(params, by_page["figure7"], runs["figure7"]),
        "## Pages",
        "\n".join(
            f"- [{title.split(': ', 1)[0]}]({name}.md): {title.split(': ', 1)[1]}" for name, title in PAGES.items()
        ),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
