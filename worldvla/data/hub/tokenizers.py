"""Chameleon's own tokenizers, as the release's repository has them: 287 MB, fetched once for all that need them."""

from pathlib import Path

from worldvla.data.hub import fetching, published
from worldvla.data.hub.listing import pinned

TEXT, VQGAN = "chameleon/tokenizer/text_tokenizer.json", "chameleon/tokenizer/vqgan.ckpt"


def fetch_text(copies: Path) -> Path:
    """Return where the text tokenizer lies, verified; raises as ``fetching.fetch_files``."""
    return _fetch(TEXT, copies)


def fetch_vqgan(copies: Path) -> Path:
    """Return where the weights of the VQ-GAN lie, verified; raises as ``fetching.fetch_files``."""
    return _fetch(VQGAN, copies)


def origin() -> dict[str, str]:
    """Return the repository and the commit that they are of."""
    publication = pinned(published.load("released"))
    return {"repository": publication.repository, "commit": publication.revision}


def _fetch(path: str, copies: Path) -> Path:
    return fetching.fetch_files(pinned(published.load("released")), [path], copies)[path]
