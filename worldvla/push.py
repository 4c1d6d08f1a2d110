"""Upload a run to the hub, complete and with its card: what ``Policy.load("owner/name")`` and ``WorldModel.load`` read.

    ./run push RUN OWNER/NAME            # says what would be uploaded, and writes the card for reading
    ./run push RUN OWNER/NAME --upload   # does it

Beside the model's folder it holds the image tokenizer (``vqgan/``) and the run's effective params (``params.yaml``).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx2
from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import HfHubHTTPError

from worldvla.card import write_card
from worldvla.files import write_text
from worldvla.folders import IMAGES, REPOSITORY, find_model, find_tokenizer
from worldvla.params.released import ORIGIN_FILE

CARDS = Path("work/cards")


def main(arguments: Sequence[str] | None = None) -> None:
    """Upload a run, or say what would be uploaded."""
    parser = argparse.ArgumentParser(prog="./run push", description="Upload a run to the hub; a dry run by default.")
    parser.add_argument("run", help="a run of data/models, or its folder")
    parser.add_argument("repository", help="owner/name on the hub; made if it is not there")
    parser.add_argument("--upload", action="store_true", help="do it")
    parser.add_argument("--private", action="store_true", help="a repository that is made is private")
    parser.add_argument("--tokenizer", type=Path, help="folder of the image tokenizer; found by its digest if absent")
    given = parser.parse_args(arguments)
    try:
        push(given.run, given.repository, given.tokenizer, upload=given.upload, private=given.private)
    except ValueError as error:
        sys.exit(f"push: {error}")


def push(run: str, repository: str, tokenizer: Path | None = None, *, upload: bool, private: bool = False) -> None:
    """Upload a run's folder, its image tokenizer, its params and its card as one commit.

    Raises:
        ValueError: one sentence: no such run, one that is not ours to publish, or the hub refuses.
    """
    if not REPOSITORY.fullmatch(repository):
        raise ValueError(f"'{repository}' is no name of a repository; expected owner/name, as someone/worldvla-goal")
    folder = find_model(run)
    if (folder / ORIGIN_FILE).is_file():
        origin = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
        raise ValueError(
            f"{folder}: these weights are {origin['repository']}'s, and published there; expected a run that was trained here; "
            "name another"
        )
    data = folder.absolute().parent.parent
    images = find_tokenizer(folder, tokenizer) / IMAGES
    pixels = json.loads((images / "config.json").read_text(encoding="utf-8"))["pixels"]
    card = CARDS / f"{folder.name}.md"
    write_text(card, str(write_card(folder, repository, pixels, data)))
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    files |= {f"{IMAGES}/{path.name}": path for path in sorted(images.iterdir()) if path.is_file()}
    if (params := data / "resolved" / f"{folder.name}.yaml").is_file():
        files["params.yaml"] = params
    files["README.md"] = card
    for name, path in files.items():
        print(f"{path.stat().st_size:>15,}  {name}" + ("" if path.name == name else f"  ({path})"))
    total = f"{len(files)} files, {sum(path.stat().st_size for path in files.values()) / 1e6:,.1f} MB"
    if not upload:
        print(
            f"nothing is uploaded: {total} would become {constants.ENDPOINT}/{repository}; read {card}, then add --upload"
        )
        return
    print(f"uploaded {total}: {_upload(files, repository, private)}")


def _upload(files: dict[str, Path], repository: str, private: bool) -> str:
    """Upload files by their path in the repository; return the address of the commit."""
    api = HfApi(endpoint=constants.ENDPOINT)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        operations = [CommitOperationAdd(name, path) for name, path in files.items()]
        return api.create_commit(repository, operations, commit_message="A run of the pipeline").commit_url
    except HfHubHTTPError as error:
        status = error.response.status_code
        got, todo = f"the hub answers HTTP {status}", "run the same command later, which goes on where it can"
        if status in (401, 403, 404):
            got, todo = (
                f"the hub refuses it (HTTP {status})",
                "log in with an account that may write there: hf auth login",
            )
        elif status == 413 or status == 402:
            got, todo = f"the hub takes no more (HTTP {status})", "free some room there"
        raise ValueError(f"{repository} at {constants.ENDPOINT}: {got}; expected leave to write; {todo}") from None
    except (httpx2.RequestError, ValueError, RuntimeError) as error:  # an answer that is none of a hub's, too
        what = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{repository} at {constants.ENDPOINT}: the upload fails ({what}); expected a connection; check the network and run "
            "the same command"
        ) from None
