"""Where a model lies, and the image tokenizer whose codes it knows: in folders here, or in a repository of the hub."""

import difflib
import json
import re
from pathlib import Path

import yaml

from worldvla.data.hub import fetching
from worldvla.data.hub.listing import pinned
from worldvla.data.hub.published import Publication
from worldvla.files import file_digest
from worldvla.model.settings import ModelSettings

DATA = Path("data")  # what the pipeline writes
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
IMAGES = Path("vqgan")  # of a tokenizer's folder; a repository has it beside the weights


def find_model(source: str | Path, revision: str = "main") -> Path:
    """Return the folder of a model: one that is given, that of a run in ``data/models``, or a repository's, fetched.

    Args:
        source: a folder (``data/models/action-goal-1``), the name of a run (``action-goal-1``) or of a repository
            (``someone/worldvla-goal``), in this order.
        revision: branch or commit of a repository.

    Raises:
        ValueError: there is none of these, or it cannot be fetched.
    """
    folder, run = Path(source), DATA / "models" / source
    if folder.is_dir():
        return folder
    if len(folder.parts) == 1 and run.is_dir():
        return run
    if len(folder.parts) == 2 and REPOSITORY.fullmatch(str(source)):
        return fetch_model(str(source), revision)
    known = sorted(path.name for path in (DATA / "models").glob("*") if path.is_dir())
    near = difflib.get_close_matches(folder.name, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known runs: {', '.join(known) or 'none, run: ./run reproduce'}"
    raise ValueError(
        f"{source}: no such run or folder; expected a run of {DATA / 'models'}, or owner/name on the hub; {hint}"
    )


def fetch_model(repository: str, revision: str = "main") -> Path:
    """Return the folder of a repository in the hub's cache, all of it fetched and verified.

    Raises:
        ValueError: one sentence: the hub is out of reach or refuses, or has no such repository.
    """
    instead = "give the folder of a model instead"
    publication = Publication(repository, "model", revision, instead, listed={})
    try:
        publication = pinned(publication)
        fetching.fetch_files(publication, [file.path for file in publication.files])
    except ValueError as error:
        # The places where the pipeline's own repositories are named do not name this one.
        sentence = str(error).replace("the one that worldvla/data/hub/repositories.yaml names", "one that is there")
        raise ValueError(re.sub(r"correct worldvla/data/hub/[^\s,]*", "correct its name", sentence)) from None
    return fetching.snapshot(publication)


def find_tokenizer(model: Path, given: str | Path | None = None) -> Path:
    """Return the folder of the image tokenizer whose codes a model knows.

    That is the one that is given, else the model's own (a repository's is complete), else the one among its neighbours in
    ``data/tokenizer`` that has the digest which the model's settings name. The size of images is no part of the digest: where
    it is left open, the run's resolved params say it.

    Raises:
        ValueError: the folder is no model's, or no tokenizer fits, or those that fit are for images of several sizes.
    """
    settings = ModelSettings.load(model)
    if given is not None:
        return Path(given)
    if (model / IMAGES).is_dir():
        return model
    data = model.absolute().parent.parent
    fitting: dict[int, Path] = {}  # by size of images
    for folder in sorted(path for path in (data / "tokenizer").glob("*") if (path / IMAGES / "config.json").is_file()):
        pixels, digest = _image_tokenizer(folder)
        if digest == settings.image_tokenizer:
            fitting.setdefault(pixels, folder)
    if len(fitting) > 1:
        wanted = _resolved_pixels(data / "resolved" / f"{model.name}.yaml")
        fitting = {pixels: folder for pixels, folder in fitting.items() if wanted is None or pixels == wanted}
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    sizes = " and ".join(f"{pixels} px" for pixels in sorted(fitting))
    got = f"those for images of {sizes} are all" if fitting else "no image tokenizer there is"
    raise ValueError(
        f"{data / 'tokenizer'}: {got} {settings.image_tokenizer[:12]}, whose codes the model in {model} knows; expected one; name "
        "its folder (--tokenizer), or run: dvc repro tokenizer"
    )


def _image_tokenizer(folder: Path) -> tuple[int, str]:
    """Return the side of the images of a tokenizer, and its digest (`ImageTokenizer.digest`), without loading it."""
    sizes = json.loads((folder / IMAGES / "config.json").read_text(encoding="utf-8"))
    return sizes["pixels"], sizes["published"] or file_digest(folder / IMAGES / "model.safetensors")


def _resolved_pixels(path: Path) -> int | None:
    """Return the side of the images that a run's effective params name for its rollouts, if they do."""
    if not path.is_file():
        return None
    sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    return sections.get("rollout", {}).get("pixels")
