"""Stage report: the tables and figures of all runs as markdown and pictures."""

from pathlib import Path

from worldvla import console
from worldvla.files import atomic_folder
from worldvla.params import strict
from worldvla.params.report import ReportParams
from worldvla.reporting import table3
from worldvla.reporting.markdown import page


def main(*, params: Path, rollouts: Path, out: Path, timing: Path = Path("data/timing")) -> None:
    """Write ``README.md`` and one page per table. A run without data says so in its cell and fails nothing.

    Reads the section ``report`` of the resolved params, ``episodes.parquet`` and videos of each run, and the wall-clock
    files, which no cache depends on.
    """
    settings = strict.read(ReportParams, params)
    runs = table3.read_runs(rollouts, settings)
    with atomic_folder(out) as folder:
        table3.write_page(folder, settings, runs, timing)
        (folder / "README.md").write_text(_first_page(settings, runs), encoding="utf-8")
    print(f"wrote {out}/README.md and its pages")


def _first_page(settings: ReportParams, runs: table3.Runs) -> str:
    return page(
        f"# WorldVLA's success rates, reproduced at scale `{settings.scale}`",
        f"Benchmark `{settings.benchmark}`, {settings.demonstrations} demonstrations, seed {settings.seed}. "
        f"Ours and the paper's are {table3.verdict(settings)}. In brackets the 95 % Wilson interval.",
        table3.headline(settings, runs),
        "## Pages",
        "- [Table 3](table3.md): intervals, rows compared on the same initial states, tasks, pictures, provenance",
    )


if __name__ == "__main__":
    console.run(main)
