"""LIBERO's meshes and textures, which hf-libero's wheel leaves out.

Left alone, hf-libero downloads them where it first needs a path: in a worker, unpinned, and half a download counts as
whole. Here the main process of a stage fetches the pinned ones before any worker starts (``ensure_assets``), workers only
look (``find_assets``), and hf-libero is told where they are (``forbid_downloads``).
"""

import os
import types
from pathlib import Path

from worldvla.data.hub import published
from worldvla.running import console
from worldvla.simulation.cache import CACHE, racing_folder

VARIABLE = "LIBERO_ASSETS"
COMMAND = "python -m worldvla.simulation.libero_assets"
SUB_FOLDERS = (
    "articulated_objects",
    "scenes",
    "stable_hope_objects",
    "stable_scanned_objects",
    "textures",
    "turbosquid_objects",
)


def find_assets() -> Path:
    """Return the folder of LIBERO's assets: the one that ``LIBERO_ASSETS`` names, else the fetched one. Never downloads.

    Raises:
        ValueError: the named folder is missing or lacks a sub-folder; or nothing is named and nothing was fetched.
    """
    if named := os.environ.get(VARIABLE):
        missing = [name for name in ("", *SUB_FOLDERS) if not (Path(named) / name).is_dir()]
        if missing:
            got = f"has no folder '{missing[0]}'" if missing[0] else "is no folder"
            raise ValueError(
                f"{VARIABLE}: {named} {got}; expected LIBERO's assets ({', '.join(SUB_FOLDERS)}); correct it, or unset it "
                f"and run: {COMMAND}"
            )
        return Path(named).resolve()
    folder = _fetched()
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: no such folder; expected LIBERO's assets; run: {COMMAND}, or set {VARIABLE} to a folder that has "
            "them"
        )
    return folder


def ensure_assets(benchmark: str) -> None:
    """Fetch LIBERO's assets (422 MB) unless they are there; for the main process of a stage, before it starts workers.

    The folder appears once count, bytes and the hash of the tree are the published ones. The benchmark ``mini`` needs
    none.

    Raises:
        ValueError: as ``find_assets`` for a named folder, ``fetching.fetch_whole`` for the download.
    """
    if benchmark != "libero":
        return
    if os.environ.get(VARIABLE):
        find_assets()
    elif not _fetched().is_dir():
        from worldvla.data.hub import fetching  # not at the top: workers need no network

        source = fetching.fetch_whole(published.load("libero_assets"), CACHE)
        with racing_folder(_fetched()) as scratch:
            for path in source.rglob("*"):
                if path.is_file():
                    fetching.place(path, scratch / path.relative_to(source))


def describe_assets() -> str:
    """Return which assets simulations are made of, in words: the digest of their tree, and whether it is the published one.

    Reads all of them: about a second. For the main process.
    """
    from worldvla.data.hub import fetching  # not at the top: workers need no network

    tree, whole = fetching.tree_digest(find_assets()), published.load("libero_assets").whole
    assert whole is not None
    return f"assets {tree[:12]} ({'the published ones' if tree == whole.tree else 'not the published ones'})"


def forbid_downloads(libero: types.ModuleType) -> None:
    """Let hf-libero use the folder selected as ``_assets_path_cache`` and nothing else, least of all the network.

    Args:
        libero: the module ``libero.libero``, before ``libero.libero.envs`` is imported, which binds the function.
    """

    def selected() -> str:
        assert libero._assets_path_cache is not None, "select the folder of assets first: libero._assets_path_cache"
        return libero._assets_path_cache

    libero.get_assets_path = selected  # pyright: ignore[reportAttributeAccessIssue]


def _fetched() -> Path:
    return CACHE / f"libero-assets-{published.load('libero_assets').revision[:12]}"


def main() -> None:
    """Fetch LIBERO's assets, so that no stage has to."""
    ensure_assets("libero")
    print(find_assets())


if __name__ == "__main__":
    console.run(main)
