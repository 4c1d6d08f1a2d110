"""Files outside the repository as ``resolve`` recorded them, for the stages that read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from worldvla.files import file_digest, value_digest
from worldvla.tokenizers.weights_file import weights_file

REMEDY = "run: dvc repro -f resolve, then the same command"


class Recorded(Protocol):
    """Params of a section that name files."""

    @property
    def digests(self) -> dict[str, str]:
        """Sha256 by the param that names the file."""
        ...


def check_unchanged(section: str, params: Recorded) -> None:
    """Refuse files of a section that are not those that were recorded, before anything is made of them.

    Raises:
        ValueError: a file has other content; one that is missing is left to whatever reads it.
    """
    for name, expected in params.digests.items():
        path = weights_file(Path(getattr(params, name)))
        if path.is_file():
            check_digest(f"{section}.{name}: {path}", file_digest(path), expected)


def check_digest(what: str, found: str, expected: str) -> None:
    """Refuse what has another sha256 than the recorded one.

    Raises:
        ValueError: it has.
    """
    if found != expected:
        raise ValueError(f"{what} has changed since resolve (sha256 {found[:12]}; expected {expected[:12]}); {REMEDY}")


def demonstrations_digest(digests: Mapping[str, str]) -> str:
    """Return one digest of the demonstrations of a suite, given the sha256 of every file by its name."""
    return value_digest(sorted(digests.items()))
