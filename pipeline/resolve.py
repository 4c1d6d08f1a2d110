"""Merge params.yaml and conf/<scale>.yaml into one file of effective values per suite and per run.

Reads ``params.yaml`` and ``conf/``; writes ``data/resolved/{<suite>,<variant>-<suite>,report}.yaml``. Takes a second.
"""

from pathlib import Path

from worldvla import files
from worldvla.params import resolve
from worldvla.running import console
from worldvla.simulation.tasks import task_names


def main(*, params: Path, conf: Path, out: Path) -> None:
    """Write the effective values of every run."""
    resolved = resolve.resolve(params, conf, task_names)
    with files.atomic_folder(out) as folder:
        for name, text in resolved.items():
            files.write_text(folder / f"{name}.yaml", text)
    print(f"{out}: {', '.join(resolved)}. Next: download")


if __name__ == "__main__":
    console.run(main)
