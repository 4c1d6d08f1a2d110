"""Fetch Chameleon's published tokenizers and write them as ours, for images of one size.

Writes ``data/tokenizer/<name>/``: ``vqgan/``, ``text.json`` (the published file), ``actions.json`` (the release's table) and
``origin.json``. 287 MB to fetch, once for all sizes.
"""

import shutil
from pathlib import Path

from worldvla.data.hub import published, tokenizers
from worldvla.data.hub.listing import pinned
from worldvla.files import atomic_folder, file_digest, write_json
from worldvla.params import strict
from worldvla.params.released import ReleasedTokenizerParams
from worldvla.running import console
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.image import ImageTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.tokenizers.vqgan import VQGAN, VQGANConfig
from worldvla.tokenizers.weights import load_weights


def main(*, params: Path, out: Path) -> None:
    """Fetch, check and convert the tokenizers that the paper's checkpoints were trained with."""
    settings = strict.read(ReleasedTokenizerParams, params)
    release = pinned(published.load("released"))
    text = tokenizers.fetch_text(release)
    TextTokenizer.load_published(text)  # before anything large
    weights = tokenizers.fetch_vqgan(release)
    model = VQGAN(VQGANConfig())
    load_weights(model, weights)
    # The release leaves TF32 as torch has it: on for convolutions.
    images = ImageTokenizer(model, settings.pixels, published=file_digest(weights), tf32=True)
    with atomic_folder(out) as folder:
        images.save(folder)
        shutil.copyfile(text, folder / "text.json")
        ActionTokenizer.published("release").save(folder / "actions.json")
        write_json(
            folder / "origin.json",
            {
                "repository": release.repository,
                "commit": release.revision,
                tokenizers.TEXT: file_digest(text),
                tokenizers.VQGAN: images.digest,
            },
        )
    print(
        f"wrote {out}: {release.repository} at {release.revision[:12]}, {images.num_codes} codes, "
        f"{settings.pixels} px. Next: released_model"
    )


if __name__ == "__main__":
    console.run(main)
