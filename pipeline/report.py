"""Stage report: the tables and figures of all runs as markdown and pictures, and as one page of HTML."""

from pathlib import Path

from worldvla.files import atomic_folder
from worldvla.params import strict
from worldvla.params.report import ReportParams
from worldvla.reporting import raw, web
from worldvla.reporting.contents import RATES
from worldvla.reporting.inference.claims import judge
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.pages import claims, figure4, figure5, first, forensics, rates, runs, table1, table4, training
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
    """Write ``README.md``, a page per table and figure, raw outcomes, and all of it as ``index.html``.

    What has no data says so in its cell and fails nothing. Reads the section ``report`` of the resolved params,
    ``episodes.parquet`` and films of each run, the scores and the films of each suite's predicted clips, how fast policies
    answer, the curves and the weights of the trainings, what the tokenizers keep, and the wall-clock files, which no cache
    depends on.
    """
    inputs = Inputs(strict.read(ReportParams, params), models, tokenizers, rollouts, videos, speed, timing)
    judged = judge(inputs.params, inputs.rollouts, inputs.metrics)
    with atomic_folder(out) as folder:
        claims.write_page(folder, inputs, judged)
        for name in RATES:
            rates.write_page(folder, inputs, name)
        for one in (table4, figure4, figure5, training):
            one.write_page(folder, inputs)
        table1.write_page(folder)
        forensics.write_page(folder)
        first.write_page(folder, inputs, judged)
        runs.write_page(folder, inputs)
        raw.write(folder, inputs)
        web.write_page(folder)
    print(f"wrote {out}/README.md, {out}/index.html and their pages")


if __name__ == "__main__":
    console.run(main)
