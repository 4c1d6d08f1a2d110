"""Merge params.yaml and conf/<scale>.yaml into one file of effective values per suite and per run.

Reads ``params.yaml``, ``conf/`` and the files outside the repository that these name, which it records by digest; writes
``data/resolved/{<suite>,<variant>-<suite>-<training>,report}.yaml``. Takes a second, and longer where it first reads large files.
"""

from collections.abc import Iterable
from pathlib import Path

import yaml

from worldvla import files
from worldvla.params import resolve, strict
from worldvla.params.tokenizer import PUBLISHED, TokenizerParams
from worldvla.params.video_metrics import VideoMetricsParams
from worldvla.running import console
from worldvla.simulation.tasks import task_names


def main(*, params: Path, conf: Path, out: Path) -> None:
    """Write the effective values of every run."""
    resolved = resolve.resolve(params, conf, task_names)
    open_weights(resolved.values())
    with files.atomic_folder(out) as folder:
        for name, text in resolved.items():
            files.write_text(folder / f"{name}.yaml", text)
    print(f"{out}: {', '.join(resolved)}. Next: download")


def open_weights(resolved: Iterable[str]) -> None:
    """Open every file of weights that is named, as the stages will: what is wrong with one is said before they run.

    Args:
        resolved: the text of each resolved file.

    Raises:
        ValueError: a file is not what it should be.
    """
    opened = set()
    for text in resolved:
        for section, values in yaml.safe_load(text).items():
            what = (section, *values.get("digests", {}).items())
            if what in opened or len(what) == 1:
                continue
            opened.add(what)
            if section == "tokenizer":
                open_tokenizers(strict.build(TokenizerParams, values, "tokenizer"))
            elif section == "video_metrics":
                open_metrics(strict.build(VideoMetricsParams, values, "video_metrics"))


def open_tokenizers(settings: TokenizerParams) -> None:
    """Open the files that the stage tokenizer reads; raise a ValueError for the first that is wrong."""
    # Not at the top: most experiments name no file, and importing torch would take most of their second.
    from worldvla.tokenizers.perceptual import PerceptualLoss
    from worldvla.tokenizers.text import TextTokenizer
    from worldvla.tokenizers.vqgan import VQGAN
    from worldvla.tokenizers.vqgan_training import config
    from worldvla.tokenizers.weights import load_weights

    if settings.text_file not in (None, PUBLISHED):
        load = TextTokenizer.load_published if settings.vocabulary == "chameleon" else TextTokenizer.load
        load(Path(settings.text_file))
    if settings.weights not in (None, PUBLISHED):
        load_weights(VQGAN(config(settings)), Path(settings.weights))
    if settings.perceptual_weights is not None:
        PerceptualLoss(Path(settings.perceptual_weights))


def open_metrics(settings: VideoMetricsParams) -> None:
    """Open the files that the stage video_metrics reads; raise a ValueError for the first that is wrong."""
    from worldvla.metrics.i3d.weights import load_weights  # not at the top, as above
    from worldvla.metrics.perceptual import Lpips, Net

    if settings.i3d_weights is not None:
        load_weights(Path(settings.i3d_weights))
    weights: dict[Net, str | None] = {"vgg": settings.lpips_vgg, "alex": settings.lpips_alex}
    for net, path in weights.items():
        if path is not None:
            Lpips(net, Path(path))


if __name__ == "__main__":
    console.run(main)
