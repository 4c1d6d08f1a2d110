"""Files come from the hub whole, verified and once, and go on where they stopped. The hub is on this machine."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest
from hub_server import REPOSITORY, REVISION, Fault
from hub_things import BIG, FILES, fetch, publication
from huggingface_hub import constants

from worldvla.data.hub import fetching, transfer


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
        "from pathlib import Path; from hub_things import publication, BIG; from worldvla.data.hub import fetching;"
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


def test_offline_nothing_is_asked_for_and_what_is_there_is_enough(hub, tmp_path, monkeypatch):
    fetch(tmp_path)
    asked = hub.num_requests
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(tmp_path)[BIG].read_bytes() == FILES[BIG]
    with pytest.raises(ValueError, match=r"1 of 2 files, and HF_HUB_OFFLINE is set; .*unset it and run"):
        fetch(tmp_path, BIG, "scenes.txt")
    assert hub.num_requests == asked


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
