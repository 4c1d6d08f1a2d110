"""A repository as the hub lists it at a branch."""

import errno
import hashlib
import re
from dataclasses import replace

import pytest
from hub_server import REPOSITORY, REVISION, Fault, serve, use
from hub_things import BIG, FILES, INSTEAD
from huggingface_hub import constants

from worldvla.data.hub import fetching, listing, published
from worldvla.data.hub.listing import pinned
from worldvla.data.hub.published import Publication

LISTED = Publication(REPOSITORY, "model", "main", INSTEAD, listed={})


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with serve(dict(FILES), kind="model") as hub:
        use(hub, monkeypatch, tmp_path / "cache")
        yield hub


def fetch(tmp_path, path: str = BIG, publication: Publication = LISTED):
    return fetching.fetch_files(pinned(publication), [path], tmp_path)[path]


def test_the_branch_becomes_its_commit_and_files_have_bytes_and_hashes(hub, tmp_path):
    at = pinned(LISTED)
    assert at.revision == REVISION
    assert {file.path: file.bytes for file in at.files} == {path: len(content) for path, content in FILES.items()}
    assert fetch(tmp_path).read_bytes() == FILES[BIG]
    assert (fetching.snapshot(at).parents[1] / "refs" / "main").read_text() == REVISION


def test_other_bytes_than_listed_are_refused(hub, tmp_path):
    hub.faults[BIG] = Fault(content=bytes(len(FILES[BIG])))
    with pytest.raises(ValueError, match=rf"^'{BIG}' of {REPOSITORY} at http.*: sha256 .*; expected .*{INSTEAD}$"):
        fetch(tmp_path)


def test_a_file_that_is_not_listed_is_refused_before_any_is_fetched(hub, tmp_path):
    with pytest.raises(
        ValueError, match=rf"^{REPOSITORY}: 'x.bin' is not among the 4 files that are listed at {REVISION[:12]}"
    ):
        fetch(tmp_path, "x.bin")
    assert hub.sent == {}


def test_another_sha256_than_the_one_known_before_is_refused_before_it_is_fetched(hub, tmp_path):
    known = replace(LISTED, listed={BIG: "sha256:" + "0" * 64})
    got = hashlib.sha256(FILES[BIG]).hexdigest()
    with pytest.raises(
        ValueError, match=rf"^'{BIG}' of {REPOSITORY} at {REVISION[:12]}: sha256 {got}; expected 0{{64}}; "
    ):
        fetch(tmp_path, publication=known)
    assert hub.sent == {}


def test_a_small_file_is_held_to_the_md5_that_is_known(hub, tmp_path):
    path = "scenes.txt"
    right, wrong = hashlib.md5(FILES[path]).hexdigest(), "0" * 32
    with pytest.raises(ValueError, match=rf"^'{path}' of .*: md5 {right}; expected {wrong}; "):
        fetch(tmp_path, path, replace(LISTED, listed={path: f"md5:{wrong}"}))
    assert fetch(tmp_path, path, replace(LISTED, listed={path: f"md5:{right}"})).read_bytes() == FILES[path]


def test_what_was_fetched_is_found_without_a_connection(hub, tmp_path, monkeypatch):
    fetch(tmp_path)
    asked = hub.num_requests
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(tmp_path).read_bytes() == FILES[BIG]
    assert hub.num_requests == asked


def test_what_the_hubs_own_tools_have_fetched_is_found_without_a_connection_and_verified(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    store = fetching.snapshot(replace(LISTED, revision=REVISION))
    blob = store.parents[1] / "blobs" / hashlib.sha256(FILES[BIG]).hexdigest()
    for folder in (blob.parent, (store / BIG).parent, store.parents[1] / "refs"):
        folder.mkdir(parents=True)
    blob.write_bytes(FILES[BIG])
    (store / BIG).symlink_to(blob)
    (store.parents[1] / "refs" / "main").write_text(REVISION)
    assert fetch(tmp_path).read_bytes() == FILES[BIG]
    blob.write_bytes(bytes(len(FILES[BIG])))
    with pytest.raises(ValueError, match=r": sha256 .*; expected .*; delete .* and run the same command"):
        fetch(tmp_path)


def test_a_cache_that_may_only_be_read_is_used(hub, tmp_path, monkeypatch):
    fetch(tmp_path)

    def refuse(path, text):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(listing, "write_text", refuse)
    assert fetch(tmp_path).read_bytes() == FILES[BIG]


def test_offline_with_nothing_here_is_one_sentence(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"refs/main: no such file, and HF_HUB_OFFLINE is set; expected the commit of"):
        fetch(tmp_path)
    assert hub.num_requests == 0


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            Fault(content=b"<html>"),
            "'the commit of main' of .*: None; expected 40 hexadecimal digits; check the network",
        ),
        (Fault(status=404, headers={"X-Error-Code": "RevisionNotFound"}), "no revision main at http.*correct it there"),
        (Fault(status=401, headers={"X-Error-Code": "GatedRepo"}), "asks for consent.*accept the terms"),
    ],
)
def test_a_hub_without_such_a_branch_is_one_sentence(fault, message, hub, tmp_path):
    hub.faults["commit"] = fault
    with pytest.raises(ValueError, match=message) as caught:
        fetch(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_the_release_is_listed_with_the_hashes_that_are_known():
    release = published.load("released")
    assert release.kind == "model"
    assert release.listed
    assert all(re.fullmatch("sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", known) for known in release.listed.values())
