"""Chameleon's own tokenizers, as the release's repository has them: 287 MB, fetched once for all that need them."""

from pathlib import Path

from worldvla.data.hub import fetching
from worldvla.data.hub.published import Publication

TEXT, VQGAN = "chameleon/tokenizer/text_tokenizer.json", "chameleon/tokenizer/vqgan.ckpt"


def fetch_text(release: Publication) -> Path:
    """Return where the text tokenizer lies, verified; raises as ``fetching.fetch_files``."""
    return fetching.fetch_files(release, [TEXT])[TEXT]


def fetch_vqgan(release: Publication) -> Path:
    """Return where the weights of the VQ-GAN lie, verified; raises as ``fetching.fetch_files``."""
    return fetching.fetch_files(release, [VQGAN])[VQGAN]
