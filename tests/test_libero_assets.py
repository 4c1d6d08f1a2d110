"""LIBERO's assets are found or fetched by us, whole, before any worker starts; never by hf-libero."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import REPOSITORY, REVISION, Fault, serve, use
from huggingface_hub import constants

from worldvla.data.hub import published
from worldvla.simulation import libero_assets
from worldvla.simulation.libero_assets import SUB_FOLDERS, ensure_assets, find_assets

FILES = {f"{name}/file.xml": name.encode() for name in SUB_FOLDERS} | {".gitattributes": b"", "wall.xml": b"<wall/>"}


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """A hub that has assets, and a machine that has none."""
    tree = hashlib.sha256()
    for path in (*(f"{name}/file.xml" for name in SUB_FOLDERS), "wall.xml"):
        tree.update(f"{path}\0{hashlib.sha256(FILES[path]).hexdigest()}\n".encode())
    whole = published.Whole(len(FILES), sum(map(len, FILES.values())), tree.hexdigest())
    instead = published.load("libero_assets").instead
    entry = published.Publication(REPOSITORY, "dataset", REVISION, instead, whole=whole)
    monkeypatch.setattr(published, "load", {"libero_assets": entry}.__getitem__)
    monkeypatch.setattr(libero_assets, "CACHE", tmp_path / "work")
    monkeypatch.delenv("LIBERO_ASSETS", raising=False)
    with serve(dict(FILES)) as hub:
        use(hub, monkeypatch, tmp_path / "cache")
        yield hub


def make_folder(folder: Path) -> Path:
    for name in SUB_FOLDERS:
        (folder / name).mkdir(parents=True)
    return folder


def test_a_worker_never_fetches_and_says_how_to(hub):
    with pytest.raises(
        ValueError, match=r"no such folder; .*run: python -m worldvla.simulation.libero_assets, or set LIB"
    ):
        find_assets()
    assert hub.num_requests == 0


def test_assets_are_fetched_once_and_found(hub):
    ensure_assets("libero")
    folder = find_assets()
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == set(FILES)
    asked = hub.num_requests
    ensure_assets("libero")
    assert hub.num_requests == asked


def test_half_a_download_never_looks_whole(hub):
    hub.faults["scenes/file.xml"] = Fault(status=500)
    with pytest.raises(ValueError, match=r"HTTP 500; .*, or set LIBERO_ASSETS to a folder that has the files$"):
        ensure_assets("libero")
    with pytest.raises(ValueError, match="no such folder"):
        find_assets()
    hub.faults.clear()
    ensure_assets("libero")
    assert find_assets().is_dir()


def test_another_tree_is_refused(hub):
    hub.files["wall.xml"] = b"<well/>"
    with pytest.raises(ValueError, match=r"tree \w{12}; expected 8 of .*set LIBERO_ASSETS to"):
        ensure_assets("libero")
    with pytest.raises(ValueError, match="no such folder"):
        find_assets()


def test_offline_the_variable_is_named(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        ValueError,
        match=r"0 of 8 files, and HF_HUB_OFFLINE is set; .*, or set LIBERO_ASSETS to a folder that has the files$",
    ):
        ensure_assets("libero")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(
        ValueError, match=r"the connection fails .*, or set LIBERO_ASSETS to a folder that has the files$"
    ):
        ensure_assets("libero")


def test_a_named_folder_is_taken_as_it_is(hub, tmp_path, monkeypatch):
    folder = make_folder(tmp_path / "mine")
    monkeypatch.setenv("LIBERO_ASSETS", str(folder))
    ensure_assets("libero")
    assert find_assets() == folder
    assert hub.num_requests == 0


def test_the_embedded_benchmark_needs_none(hub):
    ensure_assets("mini")
    assert hub.num_requests == 0


@pytest.mark.parametrize("use_assets", [find_assets, lambda: ensure_assets("libero")])
def test_a_named_folder_that_is_missing_or_incomplete_is_refused(tmp_path, monkeypatch, use_assets):
    monkeypatch.setenv("LIBERO_ASSETS", str(tmp_path / "mine"))
    with pytest.raises(
        ValueError, match=r"^LIBERO_ASSETS: .*mine is no folder; expected LIBERO's assets \(art.*run: pyth"
    ):
        use_assets()
    (make_folder(tmp_path / "mine") / "textures").rmdir()
    with pytest.raises(ValueError, match="mine has no folder 'textures'; expected"):
        use_assets()


def test_hf_libero_takes_the_selected_folder_and_never_downloads():
    code = """
import socket
from worldvla.simulation import engine, libero_assets

engine.import_simulator()
from libero import libero
libero_assets.forbid_downloads(libero)
socket.socket.connect = lambda *address: 1 / 0
libero._assets_path_cache = None
from libero.libero.envs import bddl_base_domain
from libero.libero.envs.objects import articulated_objects, google_scanned_objects, hope_objects, turbosquid_objects
for module in (bddl_base_domain, articulated_objects, google_scanned_objects, hope_objects, turbosquid_objects):
    try:
        module.get_assets_path()
    except AssertionError as error:
        assert "select the folder of assets first" in str(error)
    else:
        raise SystemExit(f"{module} went its own way")
libero._assets_path_cache = "/no/such/folder"
assert {module.get_assets_path() for module in (bddl_base_domain, hope_objects)} == {"/no/such/folder"}
"""
    subprocess.run([sys.executable, "-c", code], check=True)
