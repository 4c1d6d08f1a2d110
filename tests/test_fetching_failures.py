"""What goes wrong between here and the hub is one sentence, and costs nothing that is here already."""

import errno
import fcntl
import os

import pytest
from hub_server import REPOSITORY, REVISION, Fault
from hub_things import BIG, FILES, INSTEAD, fetch, partial_file
from huggingface_hub import constants

from worldvla.data.hub import transfer


def test_a_hub_that_sends_all_again_is_understood(hub, tmp_path):
    hub.faults["scenes.txt"] = Fault(no_ranges=True)
    partial_file("scenes.txt").write_bytes(b"after")
    assert fetch(tmp_path, "scenes.txt")["scenes.txt"].read_bytes() == FILES["scenes.txt"]
    assert hub.starts["scenes.txt"] == [5]


@pytest.mark.parametrize(
    ("no_length", "got"),
    [(False, "19 bytes"), (True, "all of it again, of unknown length")],
    ids=["length", "no length"],
)
def test_a_page_in_the_file_s_place_does_not_cost_what_is_here(hub, tmp_path, no_length, got):
    partial_file().write_bytes(FILES[BIG][:200_000])
    hub.faults[BIG] = Fault(content=b"<html>log in</html>", no_ranges=True, no_length=no_length)
    with pytest.raises(ValueError, match=f": {got}; expected 300,000; run the same"):
        fetch(tmp_path)
    assert partial_file().read_bytes() == FILES[BIG][:200_000]
    hub.faults.clear()
    fetch(tmp_path)
    assert hub.starts[BIG] == [200_000, 200_000]


def test_a_page_where_nothing_is_here_yet_is_not_kept(hub, tmp_path):
    hub.faults[BIG] = Fault(content=b"<html>log in</html>", no_length=True)
    with pytest.raises(ValueError, match=": 19 bytes; expected 300,000"):
        fetch(tmp_path)
    assert not partial_file().exists()


def test_a_refused_range_that_nobody_asked_for_is_told(hub, tmp_path):
    hub.faults[BIG] = Fault(status=416)
    with pytest.raises(ValueError, match=r"the hub answers HTTP 416"):
        fetch(tmp_path)
    assert hub.starts[BIG] == [0]


def test_a_file_that_nobody_lists_is_named(tmp_path, hub):
    with pytest.raises(
        ValueError, match=rf"'libero_90/x.hdf5' is not among the 4 files .*; correct worldvla/data/hub/, or {INSTEAD}$"
    ):
        fetch(tmp_path, "libero_90/x.hdf5")


def test_a_disk_without_locks_is_told_and_used(hub, tmp_path, monkeypatch, capsys):
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    fetch(tmp_path)
    assert "no locks on this disk (No locks available)" in capsys.readouterr().out


def test_wrong_bytes_of_the_right_length_are_refused_and_not_kept(hub, store, tmp_path):
    hub.faults[BIG] = Fault(times=1, content=bytes(len(FILES[BIG])))
    with pytest.raises(
        ValueError, match=rf"^'{BIG}' of {REPOSITORY} at http://127.0.0.1.*: sha256 \w+; expected \w+; run"
    ):
        fetch(tmp_path)
    assert not (store / BIG).exists()
    assert fetch(tmp_path)[BIG].read_bytes() == FILES[BIG]


@pytest.mark.parametrize("num_bytes", [10, 400_000])
def test_a_file_of_another_length_is_refused_before_it_is_fetched(hub, store, tmp_path, num_bytes):
    hub.faults[BIG] = Fault(content=bytes(num_bytes))
    with pytest.raises(ValueError, match=rf": {num_bytes:,} bytes; expected 300,000; run the same.*, or {INSTEAD}$"):
        fetch(tmp_path)
    assert hub.starts[BIG] == [0]
    assert not (store / BIG).exists()


def test_a_part_that_is_longer_than_the_hub_s_file_is_thrown_away(hub, store, tmp_path):
    partial_file().write_bytes(bytes(200_000))
    hub.faults[BIG] = Fault(times=1, content=b"short")
    assert fetch(tmp_path)[BIG].read_bytes() == FILES[BIG]
    assert hub.starts[BIG] == [200_000, 0]


@pytest.mark.parametrize(
    ("fault", "sentence", "num_requests"),
    [
        (
            Fault(status=401),
            r"the hub refuses it \(HTTP 401\); expected leave to read it; log in with: hf auth login",
            1,
        ),
        (Fault(status=403), r"the hub refuses it \(HTTP 403\)", 1),
        (
            Fault(status=403, headers={"X-Error-Code": "GatedRepo"}),
            "asks for consent .*accept the terms on its page",
            1,
        ),
        (Fault(status=404, headers={"X-Error-Code": "EntryNotFound"}), rf"not there at revision {REVISION} .*yaml", 1),
        (Fault(status=404), r"not there at revision .* \(HTTP 404\)", 1),
        (
            Fault(status=404, headers={"X-Error-Code": "RevisionNotFound"}),
            f"no revision {REVISION} at http.*correct it",
            1,
        ),
        (Fault(status=429, headers={"Retry-After": "4000"}), r"no more requests for 4000 s \(HTTP 429\).*then run", 1),
        (Fault(status=429, headers={"RateLimit": '"api";r=0;t=301'}), "no more requests for 301 s", 1),
        (Fault(status=429, headers={"Retry-After": "0"}), "no more requests for 0 s", transfer.NUM_TRIES),
        (Fault(status=500), r"the hub answers HTTP 500; expected an answer; later run the same", transfer.NUM_TRIES),
        (
            Fault(cut_after=0),
            r"the connection fails \(RemoteProtocolError\); expected an answer; check the n",
            transfer.NUM_TRIES,
        ),
    ],
)
def test_a_hub_that_fails_says_how(hub, store, tmp_path, fault, sentence, num_requests):
    hub.faults[BIG] = fault
    with pytest.raises(ValueError, match=rf"{REPOSITORY}.*: .*{sentence}.*, or {INSTEAD}$"):
        fetch(tmp_path)
    assert len(hub.starts[BIG]) == num_requests
    assert not (store / BIG).exists()


@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_that_fails_once_is_asked_again(hub, tmp_path, status):
    hub.faults[BIG] = Fault(times=1, status=status)
    assert fetch(tmp_path)[BIG].read_bytes() == FILES[BIG]


def test_a_person_is_told_why_it_waits(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(transfer, "LONG_WAIT_S", 0.0)
    hub.faults[BIG] = Fault(times=1, status=503)
    fetch(tmp_path)
    assert f"{BIG}: the hub answers HTTP 503; asking again in 0 s" in capsys.readouterr().err


def test_one_file_s_failure_ends_the_others_which_keep_what_they_have(hub, store, tmp_path):
    hub.faults |= {"scenes.txt": Fault(status=401), BIG: Fault(cut_after=100_000, stall_s=0.5)}
    with pytest.raises(ValueError, match="refuses"):
        fetch(tmp_path, BIG, "scenes.txt")
    assert transfer.size(store.parents[1] / "partial" / REVISION / BIG) == 100_000


def test_a_hub_that_stalls_does_not_hang(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    hub.faults[BIG] = Fault(cut_after=0, stall_s=2)
    with pytest.raises(ValueError, match=r"the connection fails \(ReadTimeout\)"):
        fetch(tmp_path)


def test_a_hub_out_of_reach_is_named(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with pytest.raises(
        ValueError, match=rf"^'{BIG}' of .* at http://127.0.0.1:9: the connection fails \(ConnectError\)"
    ):
        fetch(tmp_path)


def test_a_wrong_file_in_the_cache_is_named_with_what_to_delete(hub, store, tmp_path):
    fetch(tmp_path)
    blob = tmp_path / "blob"  # the hub's own client stores links
    blob.write_bytes(bytes(len(FILES[BIG])))
    (store / BIG).unlink()
    (store / BIG).symlink_to(blob)
    with pytest.raises(ValueError, match=f"sha256 .*; expected .*; delete {blob} and run the same command"):
        fetch(tmp_path)
    assert blob.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_named(hub, tmp_path):
    (tmp_path / "cache").mkdir(mode=0o500)
    with pytest.raises(
        ValueError, match=r"lock: cannot be written \(Permission denied\); .*set HF_HOME to a folder of yours"
    ):
        fetch(tmp_path)


def test_a_cache_that_is_no_folder_is_named(hub, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(
        ValueError, match=r"lock: cannot be written \(Not a directory\); .*set HF_HOME to a folder of yours"
    ):
        fetch(tmp_path)


def test_a_disk_that_fills_up_is_left_to_the_console(hub, tmp_path, monkeypatch):
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer, "download", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(tmp_path)
