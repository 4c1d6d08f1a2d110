"""Stage report: the tables and figures of all runs as markdown and pictures."""

from pathlib import Path

from worldvla.files import atomic_folder
from worldvla.params import strict
from worldvla.params.report import ReportParams
from worldvla.reporting import (
    claims,
    figure4,
    figure5,
    figure6,
    figure7,
    first_page,
    forensics,
    judging,
    successes,
    summary,
    table1,
    table2,
    table3,
    table4,
    table5,
    table6,
    training,
)
from worldvla.reporting.clips import read_video_metrics
from worldvla.reporting.speed import read_speeds
from worldvla.running import console


def main(
    *,
    params: Path,
    models: Path,
    tokenizers: Path,
    rollouts: Path,
    videos: Path,
    speed: Path,
    out: Path,
    timing: Path = Path("data/timing"),
) -> None:
    """Write ``README.md`` and one page per table and figure. What has no data says so in its cell and fails nothing.

    Reads the section ``report`` of the resolved params, ``episodes.parquet`` and films of each run, the scores and the
    films of each suite's predicted clips, how fast policies answer, the curves of the trainings, what the tokenizers
    keep, and the wall-clock files, which no cache depends on.
    """
    settings = strict.read(ReportParams, params)
    clips = read_video_metrics(videos, settings)
    runs = {
        name: successes.read_runs(rollouts, settings, rows)
        for name, rows in {**first_page.rows(settings), "claims": judging.ROWS}.items()
    }
    speeds = read_speeds(speed, settings, table5.rows(settings))
    judged = judging.judge(settings, runs["claims"], clips)
    with atomic_folder(out) as folder:
        claims.write_page(folder, settings, runs["claims"], judged)
        table1.write_page(folder)
        table2.write_page(folder, settings, runs["table2"], timing)
        table3.write_page(folder, settings, runs["table3"], timing)
        table4.write_page(folder, settings, clips, timing)
        table5.write_page(folder, settings, runs["table5"], speeds, timing)
        table6.write_page(folder, settings, runs["table6"], timing)
        figure4.write_page(folder, settings, runs["table3"], timing)
        figure5.write_page(folder, settings, clips, timing)
        figure6.write_page(folder, settings, runs["figure6"], timing)
        figure7.write_page(folder, settings, runs["figure7"], timing)
        forensics.write_page(folder)
        training.write_page(folder, settings, training.read_trainings(models, settings), tokenizers, timing)
        first_page.write_page(folder, settings, runs, speeds, clips, judged)
        summary.write(folder, settings, table3.ROWS, runs["table3"], clips)
    print(f"wrote {out}/README.md and its pages")


if __name__ == "__main__":
    console.run(main)
