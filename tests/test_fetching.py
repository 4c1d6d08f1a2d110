"""Files come from the hub whole, verified and once; what goes wrong is one sentence. The hub is on this machine."""

import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hub_server import REPOSITORY, REVISION, Fault, serve, use
from huggingface_hub import constants

from worldvla.data.hub import fetching, published, transfer
from worldvla.data.hub.published import File, Publication, Whole

FILES = {
    ".gitattributes": b"*.bin filter=lfs",
    "scenes/table.bin": np.random.default_rng(0).bytes(300_000),
    "scenes/table.xml": b"<mujoco/>",
    "scenes.txt": b"after the folder by its letters, before it by its parts",
}
BIG = "scenes/table.bin"
INSTEAD = "bring the files yourself"


def publication(files: dict[str, bytes] = FILES) -> Publication:
    table = tuple(File(path, len(content), hashlib.sha256(content).hexdigest()) for path, content in files.items())
    return Publication(REPOSITORY, "dataset", REVISION, INSTEAD, files=table)


def whole_publication() -> Publication:
    tree = hashlib.sha256()
    for path in ("scenes/table.bin", "scenes/table.xml", "scenes.txt"):
        tree.update(f"{path}\0{hashlib.sha256(FILES[path]).hexdigest()}\n".encode())
    whole = Whole(len(FILES), sum(map(len, FILES.values())), tree.hexdigest())
    return Publication(REPOSITORY, "dataset", REVISION, INSTEAD, whole=whole)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with serve(dict(FILES)) as hub:
        use(hub, monkeypatch, tmp_path / "cache")
        yield hub


@pytest.fixture
def store(hub):
    return fetching.snapshot(publication())


def fetch(tmp_path: Path, *paths: str) -> dict[str, Path]:
    return fetching.fetch_files(publication(), paths or (BIG,), tmp_path)


def test_files_are_fetched_announced_and_lie_in_the_hub_s_own_cache(hub, store, tmp_path, capsys):
    got = fetch(tmp_path, BIG, "scenes.txt")
    assert store == tmp_path / "cache" / "datasets--someone--things" / "snapshots" / REVISION
    assert got == {BIG: store / BIG, "scenes.txt": store / "scenes.txt"}
    assert all(path.read_bytes() == FILES[name] for name, path in got.items())
    captured = capsys.readouterr()
    assert "someone/things: 2 files to fetch, 0.3 MB to go; " in captured.out
    assert f"free in {store}" in captured.out
    assert "things: 100%" in captured.err  # and rate and time left, as every bar


def test_what_is_in_the_cache_is_verified_and_not_asked_for_again(hub, tmp_path, capsys):
    fetch(tmp_path)
    asked = hub.num_requests
    fetch(tmp_path)
    assert hub.num_requests == asked
    assert "all 1 files, 0.3 MB, are in" in capsys.readouterr().out


def test_the_hub_s_own_client_finds_what_was_fetched(hub, tmp_path, monkeypatch):
    from huggingface_hub import hf_hub_download

    got = fetch(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    there = hf_hub_download(REPOSITORY, BIG, repo_type="dataset", revision=REVISION, cache_dir=tmp_path / "cache")
    assert Path(there) == got[BIG]


def test_a_login_is_shown_to_the_hub_and_to_nobody_else(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch(tmp_path, BIG)
    hub.elsewhere = hub.endpoint.replace("127.0.0.1", "localhost")
    fetch(tmp_path, "scenes.txt")
    assert hub.tokens == {BIG: "Bearer hf_secret", "scenes.txt": None}


def test_a_cut_connection_goes_on_where_it_stopped(hub, tmp_path):
    hub.faults[BIG] = Fault(times=2, cut_after=100_000)
    fetch(tmp_path)
    assert hub.starts[BIG] == [0, 100_000, 200_000]
    assert hub.sent[BIG] == len(FILES[BIG])  # no byte twice


def test_a_file_that_was_given_up_goes_on_in_the_next_run(hub, store, tmp_path):
    hub.faults = {BIG: Fault(cut_after=1_000), "scenes.txt": Fault(status=500)}
    with pytest.raises(ValueError, match="HTTP 500"):  # it gives up at another file, in the middle of this one
        fetch(tmp_path, BIG, "scenes.txt")
    hub.faults = {BIG: Fault(cut_after=0)}
    partial = store.parents[1] / "partial" / REVISION / BIG
    have = partial.stat().st_size
    assert 0 < have < len(FILES[BIG])
    with pytest.raises(ValueError, match=r"the connection fails \(RemoteProtocolError\)"):
        fetch(tmp_path)
    assert hub.starts[BIG][-transfer.NUM_TRIES :] == [have] * transfer.NUM_TRIES
    assert partial.stat().st_size == have
    hub.faults.clear()
    fetch(tmp_path)
    assert hub.sent[BIG] <= len(FILES[BIG]) + 1_000  # what was on its way when the other file failed


def test_a_killed_process_goes_on_and_the_environment_names_mirror_and_cache(hub, tmp_path):
    hub.faults[BIG] = Fault(times=1, cut_after=100_000, stall_s=30)
    code = (
        "from pathlib import Path; from test_fetching import publication, BIG; from worldvla.data.hub import fetching;"
        "print(fetching.fetch_files(publication(), [BIG], Path('.'))[BIG])"
    )
    environment = os.environ | {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_CACHE": str(tmp_path / "other"),
        "HF_HUB_OFFLINE": "",
        "PYTHONPATH": os.pathsep.join(("tests", ".")),
    }
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    partial = tmp_path / "other" / "datasets--someone--things" / "partial" / REVISION / BIG
    deadline = time.monotonic() + 60
    while transfer.size(partial) < 100_000:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.splitlines()[-1]).read_bytes() == FILES[BIG]
    assert hub.starts[BIG] == [0, 100_000]


def test_a_hub_that_sends_all_again_is_understood(hub, tmp_path):
    hub.faults[BIG] = Fault(times=1, cut_after=100_000)
    hub.faults["scenes.txt"] = Fault(no_ranges=True)
    partial = fetching.snapshot(publication()).parents[1] / "partial" / REVISION / "scenes.txt"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"after")
    assert fetch(tmp_path, "scenes.txt")["scenes.txt"].read_bytes() == FILES["scenes.txt"]
    assert hub.starts["scenes.txt"] == [5]


def test_a_page_in_the_file_s_place_does_not_cost_what_is_here(hub, store, tmp_path):
    partial = store.parents[1] / "partial" / REVISION / BIG
    partial.parent.mkdir(parents=True)
    partial.write_bytes(FILES[BIG][:200_000])
    hub.faults[BIG] = Fault(content=b"<html>log in</html>", no_ranges=True)
    with pytest.raises(ValueError, match=": 19 bytes; expected 300,000; run the same"):
        fetch(tmp_path)
    hub.faults.clear()
    fetch(tmp_path)
    assert hub.starts[BIG] == [200_000, 200_000]


def test_a_file_that_nobody_lists_is_named(tmp_path, hub):
    with pytest.raises(ValueError, match=rf"'libero_90/x.hdf5' is not among the 4 files .*; add it, or {INSTEAD}$"):
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
    partial = store.parents[1] / "partial" / REVISION / BIG
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(200_000))
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
        (Fault(status=500), r"the hub answers HTTP 500; expected the file; later run the same", transfer.NUM_TRIES),
        (
            Fault(cut_after=0),
            r"the connection fails \(RemoteProtocolError\); expected the file; check the n",
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


def test_offline_nothing_is_asked_for_and_what_is_there_is_enough(hub, tmp_path, monkeypatch):
    fetch(tmp_path)
    asked = hub.num_requests
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(tmp_path)[BIG].read_bytes() == FILES[BIG]
    with pytest.raises(ValueError, match=r"1 of 2 files, and HF_HUB_OFFLINE is set; .*unset it and run"):
        fetch(tmp_path, BIG, "scenes.txt")
    assert hub.num_requests == asked


def test_a_wrong_file_in_the_cache_is_named_with_what_to_delete(hub, store, tmp_path):
    fetch(tmp_path)
    blob = tmp_path / "blob"  # the hub's own client stores links
    blob.write_bytes(bytes(len(FILES[BIG])))
    (store / BIG).unlink()
    (store / BIG).symlink_to(blob)
    with pytest.raises(ValueError, match=f"sha256 .*; expected .*; delete {blob} and run the same command"):
        fetch(tmp_path)
    assert blob.exists()


Usage = namedtuple("Usage", "total used free")


def test_no_room_is_said_before_anything_is_fetched(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, 1000))
    with pytest.raises(
        ValueError, match=r": 0.0 MB free; expected 0.3 MB for someone/things; free some space, set HF_HOME"
    ):
        fetch(tmp_path)
    assert hub.num_requests == 0


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second disk")
def test_room_for_copies_is_asked_for_on_another_disk(hub, tmp_path, monkeypatch, capsys):
    memory = Path("/dev/shm")
    if memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second disk")
    fetching.fetch_files(publication(), ["scenes.txt"], memory / "raw")
    assert "; from there 0.0 MB are copied to another disk" in capsys.readouterr().out
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, 0 if Path(folder) == memory else 1 << 40))
    fetch(tmp_path)
    with pytest.raises(ValueError, match=r"^/dev/shm/raw: 0.0 MB free; expected 0.3 MB"):
        fetching.fetch_files(publication(), [BIG], memory / "raw")


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


def test_two_at_once_fetch_a_file_once(hub, tmp_path, capsys):
    hub.faults[BIG] = Fault(times=1, cut_after=100_000, stall_s=0.3)
    threads = [threading.Thread(target=fetch, args=(tmp_path,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hub.sent[BIG] == len(FILES[BIG])
    assert "another process fetches from it; waiting" in capsys.readouterr().out


def test_a_placed_file_is_a_link_or_else_a_copy(tmp_path, monkeypatch):
    (tmp_path / "blob").write_bytes(b"content")
    source = tmp_path / "source"
    source.symlink_to(tmp_path / "blob")
    fetching.place(source, tmp_path / "raw/linked")
    assert (tmp_path / "raw/linked").samefile(tmp_path / "blob")
    assert not (tmp_path / "raw/linked").is_symlink()

    def refuse(*paths: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    fetching.place(source, tmp_path / "raw/copied")
    assert (tmp_path / "raw/copied").read_bytes() == b"content"
    assert not (tmp_path / "raw/copied").samefile(tmp_path / "blob")


def fetch_whole(tmp_path: Path) -> Path:
    return fetching.fetch_whole(whole_publication(), tmp_path)


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
    for publication in (demonstrations, assets):
        assert len(publication.revision) == 40  # a commit: nothing changes under its name
