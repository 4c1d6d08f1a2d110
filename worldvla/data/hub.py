"""LIBERO's published demonstrations, from the Hugging Face hub: one HDF5 file per task, about 0.8 GB each.

Files go through the hub's own cache (``HF_HOME``), so that an interrupted download goes on with the file that it was at,
and files that are there already need no network. ``HF_HUB_OFFLINE=1`` forbids the network.
"""

from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from httpx2 import HTTPError
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from worldvla.console import Progress
from worldvla.data import raw

# Where LIBERO's own script for downloads looks (`download_utils.py` of hf-libero 0.1.4).
REPOSITORY = "yifengzhu-hf/LIBERO-datasets"
# The state of 18 May 2025, which public projects pin; read there, never downloaded by us.
REVISION = "f13aa24a3da8c43c7225569f28c562979fa0e35a"

LOCAL = "set demonstrations: local and demonstrations_folder in params.yaml to a folder that has the files"


@dataclass(frozen=True)
class Published:
    """A published file of demonstrations that is on this machine and has passed the checks."""

    path: Path  # in the hub's cache: read it, never change it
    file: str  # in the repository: "libero_goal/turn_on_the_stove_demo.hdf5"

    @property
    def source(self) -> dict[str, str]:
        """Where it came from, for a manifest."""
        return {"repository": REPOSITORY, "revision": REVISION, "file": self.file}


def fetch(suite: str, task: str, language: str) -> Published:
    """Return one task's published demonstrations, downloaded if they are not in the cache, and checked.

    Args:
        suite: LIBERO's name, which is the folder in the repository: ``libero_goal``.
        task: the task's name, with underscores.
        language: its instruction.

    Raises:
        ValueError: one sentence: the hub cannot be reached, refuses, or lacks the file; or the file does not hold
            demonstrations of the task in LIBERO's layout.
    """
    file = raw.task_file(Path(suite), task).as_posix()
    what = f"'{file}' of {REPOSITORY}"
    try:
        path = Path(
            huggingface_hub.hf_hub_download(
                REPOSITORY, file, repo_type="dataset", revision=REVISION, tqdm_class=Progress
            )
        )
    except RemoteEntryNotFoundError:
        raise ValueError(f"{what}: no such file at revision {REVISION}; expected one per task; {LOCAL}") from None
    except RevisionNotFoundError:
        raise ValueError(
            f"{REPOSITORY} has no revision {REVISION}; expected the one that REVISION names in worldvla/data/hub.py; "
            f"correct it there, or {LOCAL}"
        ) from None
    except (RepositoryNotFoundError, GatedRepoError) as error:
        raise ValueError(
            f"{what}: the hub refuses it ({_status(error)}); expected a public dataset; log in with: hf auth login, "
            f"or {LOCAL}"
        ) from None
    except (HTTPError, ConnectionError, LocalEntryNotFoundError, RuntimeError) as error:
        # A RuntimeError is what hf_xet, the hub's transfer library, makes of a broken connection.
        if constants.is_offline_mode():
            got, remedy = f"not in {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set", "unset it"
        else:
            got, remedy = f"cannot be fetched from the hub ({_cause(error)})", "check the network"
        raise ValueError(
            f"{what}: {got}; expected it there or a connection; {remedy} and run the same command, which keeps what is "
            f"complete, or {LOCAL}"
        ) from None
    try:
        raw.validate_raw(path, task, language)
    except ValueError as error:
        fault = str(error).removesuffix(f"; {raw.REMEDY}")
        # The link alone would not do: the hub's cache would link to the same bytes again.
        raise ValueError(f"{fault}; delete {path.resolve()} to fetch it again, or {LOCAL}") from None
    return Published(path, file)


def _status(error: RepositoryNotFoundError) -> str:
    """Return the answer of the server in words."""
    return f"HTTP {error.response.status_code}"


def _cause(error: BaseException) -> str:
    """Return the kind of the error at the bottom of a chain, which says more than the hub's own wrapper."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__
