"""Stage finetune: as train, from the weights of another run (paper, table 6: pretraining as a world model)."""

from pathlib import Path

from pipeline.train import train_run
from worldvla.params import strict
from worldvla.params.train import FinetuneParams
from worldvla.running import console


def main(*, params: Path, start: Path, shards: Path, tokenizer: Path, out: Path, timing: Path) -> None:
    """Train one run from the weights in the folder ``start``."""
    settings = strict.read(FinetuneParams, params)
    # A folder of data/models/ is called <variant>-<suite>-<training>.
    if not start.name.startswith(f"{settings.start}-"):
        raise ValueError(
            f"{start}: got a folder called '{start.name}', expected a run of '{settings.start}', which {params} says to "
            f"start from: {settings.start}-<suite>-<training>. Run: dvc repro resolve finetune"
        )
    if not start.is_dir():
        raise ValueError(
            f"{start}: no such folder; expected the model to start from. Run: dvc repro train@{start.name}"
        )
    train_run(settings, shards, tokenizer, out, timing, lambda ranks: start)


if __name__ == "__main__":
    console.run(main)
