"""A whole repository is listed, fetched and verified by its tree. The hub is on this machine."""

import pytest
from hub_server import Fault
from hub_things import BIG, FILES, fetch_whole
from huggingface_hub import constants

from worldvla.data.hub import published


def test_a_whole_repository_is_listed_fetched_and_verified(hub, store, tmp_path):
    assert fetch_whole(tmp_path) == store
    assert {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()} == set(FILES)
    assert hub.starts["list"] == [0, 2, 4]  # page by page
    asked = hub.num_requests
    fetch_whole(tmp_path)
    assert hub.num_requests == asked


def test_a_half_repository_is_completed_and_offline_refused(hub, store, tmp_path, monkeypatch):
    hub.faults["scenes/table.xml"] = Fault(status=500)
    with pytest.raises(ValueError, match=r"'scenes/table.xml' .*HTTP 500"):
        fetch_whole(tmp_path)
    (store / BIG).parent.mkdir(parents=True, exist_ok=True)
    (store / BIG).write_bytes(FILES[BIG])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"\d of 4 files, and HF_HUB_OFFLINE is set; .*run the same command, or bring"):
        fetch_whole(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.faults.clear()
    fetch_whole(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch_whole(tmp_path) == store


@pytest.mark.parametrize("path", [BIG, "scenes/table.xml"])
def test_every_file_of_a_whole_is_verified_by_the_hash_that_the_hub_lists(hub, tmp_path, path):
    hub.faults[path] = Fault(content=bytes(len(FILES[path])))
    with pytest.raises(ValueError, match=rf"'{path}' .*: (sha256|git's hash) \w+; expected"):
        fetch_whole(tmp_path)


def test_a_repository_that_lists_something_else_is_refused_before_it_is_fetched(hub, tmp_path):
    hub.files["more.txt"] = b"more"
    with pytest.raises(ValueError, match=r"someone/things lists 5 files of .* at http.*; expected 4 of .*HF_ENDPOINT"):
        fetch_whole(tmp_path)
    assert set(hub.starts) == {"list"}


def test_a_repository_with_another_tree_is_refused(hub, store, tmp_path):
    hub.files["scenes.txt"] = FILES["scenes.txt"].swapcase()
    with pytest.raises(
        ValueError, match=r"4 files of .* bytes, tree \w{12}; expected 4 of .*tree \w{12}; delete the folder"
    ):
        fetch_whole(tmp_path)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault(content=b"<html>log in to this network</html>"), "35 bytes of something else; .*check the network"),
        (Fault(content=b'{"error": "later"}'), "18 bytes of something else"),
        (Fault(content=b'[{"type": "file", "path": "x"}]'), "31 bytes of something else"),
        (
            Fault(content=b'[{"type": "file", "path": "../x", "size": 1, "oid": ""}]'),
            r"the path '\.\./x'; expected one inside",
        ),
        (Fault(status=401), r"'the list of files' of .*the hub refuses it \(HTTP 401\)"),
    ],
)
def test_a_listing_that_fails_says_how(hub, tmp_path, fault, sentence):
    hub.faults["list"] = fault
    with pytest.raises(ValueError, match=sentence):
        fetch_whole(tmp_path)


def test_what_is_published_where_is_pinned_and_known_by_its_bytes():
    demonstrations = published.load("demonstrations")
    assert len(demonstrations.files) == 40
    assert sum(file.bytes for file in demonstrations.files) == 33_784_856_577
    assert all(file.sha256 and len(file.sha256) == 64 for file in demonstrations.files)
    assets = published.load("libero_assets")
    assert assets.whole is not None
    assert len(assets.whole.tree) == 64
    for pinned in (demonstrations, assets):
        assert len(pinned.revision) == 40  # a commit: nothing changes under its name
