import errno
import io
import json
import os
import re
import tarfile
import time

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_episodes import filtered_episode

from pipeline import encode
from worldvla.data.episodes import EPISODES, write_episode, write_table
from worldvla.data.shards import TokenizedEpisode, read_shards, write_shard, write_shards
from worldvla.data.splits import SCHEMA
from worldvla.files import folder_digest
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.vocabulary import CHAMELEON


def episode(number=0, num_steps=3, num_codes=4):
    random = np.random.default_rng(number)
    return TokenizedEpisode(
        task="put_the_can_in_the_basket",
        demo=f"demo_{number}",
        language="put the can in the basket",
        codes=random.integers(0, 1 << 16, (num_steps, num_codes), np.uint16),
        actions=random.uniform(-1, 1, (num_steps, 7)).astype(np.float64),
    )


def same(one, other):
    return (
        (one.task, one.demo, one.language) == (other.task, other.demo, other.language)
        and (one.codes.dtype, one.actions.dtype) == (other.codes.dtype, other.actions.dtype)
        and np.array_equal(one.codes, other.codes)
        and np.array_equal(one.actions, other.actions)
    )


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 6)), min_size=1, max_size=7),
    st.integers(1, 4),
    st.text(max_size=20),
)
def test_reading_returns_what_was_written_in_order(tmp_path_factory, shapes, per_shard, language):
    folder = tmp_path_factory.mktemp("shards")
    written = [
        TokenizedEpisode(**{**vars(episode(number, *shape)), "language": language})
        for number, shape in enumerate(shapes)
    ]
    write_shards(folder, written, per_shard)
    found = read_shards(folder)
    assert len(found) == len(written)
    assert all(same(*both) for both in zip(written, found, strict=True))
    assert len(list(folder.iterdir())) == -(-len(written) // per_shard)


def test_the_same_episodes_give_the_same_bytes_at_another_time(tmp_path, monkeypatch):
    write_shard(tmp_path / "a.tar", [episode(0), episode(1)])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1000)
    write_shard(tmp_path / "b.tar", [episode(0), episode(1)])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        members = tar.getmembers()
    assert {(member.mtime, member.uid, member.gid, member.uname, member.gname) for member in members} == {
        (0, 0, 0, "", "")
    }
    assert [member.name for member in members[:3]] == [
        f"put_the_can_in_the_basket/demo_0.{name}" for name in ("actions.npy", "codes.npy", "info.json")
    ]


def test_liberos_longest_task_name_fits(tmp_path):
    name = "LIVING_ROOM_SCENE5_put_the_white_mug_on_the_left_plate_and_put_the_yellow_and_white_mug_on_the_right_plate"
    written = TokenizedEpisode(**{**vars(episode()), "task": name})
    write_shards(tmp_path, [written], 1)
    assert same(read_shards(tmp_path)[0], written)


def test_codes_that_do_not_fit_are_not_wrapped(tmp_path):
    wide = TokenizedEpisode(**{**vars(episode()), "codes": np.full((3, 4), 1 << 16)})
    with pytest.raises(TypeError):
        write_shard(tmp_path / "000000.tar", [wide])
    assert list(tmp_path.iterdir()) == []


def refuse(folder):
    with pytest.raises(ValueError, match=f"^{re.escape(str(folder))}.*; run: dvc repro -f encode$") as error:
        read_shards(folder)
    return str(error.value)


def test_no_shard_and_a_missing_shard_are_named(tmp_path):
    assert "no shard (*.tar)" in refuse(tmp_path / "val_ood")
    write_shards(tmp_path, [episode(number) for number in range(3)], 1)
    (tmp_path / "000001.tar").unlink()
    assert "000001.tar is missing" in refuse(tmp_path)


@pytest.mark.parametrize("size", [0, 100, 512, 1024, 3000, 6 * 512 * 2, 10240])
def test_a_shard_cut_anywhere_is_named(tmp_path, size):
    write_shards(tmp_path, [episode(number, 20) for number in range(9)], 9)
    assert (tmp_path / "000000.tar").stat().st_size > 10240
    os.truncate(tmp_path / "000000.tar", size)
    assert f"000000.tar: a truncated tar of {size} bytes" in refuse(tmp_path)


def test_a_damaged_header_is_named(tmp_path):
    write_shards(tmp_path, [episode()], 1)
    content = bytearray((tmp_path / "000000.tar").read_bytes())
    content[3 * 512 + 10] ^= 255
    (tmp_path / "000000.tar").write_bytes(content)
    assert "000000.tar" in refuse(tmp_path)


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("codes.npy", None, "the member 'codes.npy' is missing; expected actions.npy, codes.npy, info.json"),
        ("info.json", None, "the member 'info.json' is missing"),
        ("info.json", b'{"task": "t", "demo": "d"}', "a damaged sample ('language')"),
        ("info.json", b"[]", "a damaged sample"),
        ("info.json", b"{", "a damaged sample"),
        ("codes.npy", b"", "a damaged sample"),
        ("codes.npy", npy(np.zeros((3, 4), np.uint16))[:-5], "a damaged sample"),
        ("codes.npy", npy(np.array([[{}]]), allow_pickle=True), "a damaged sample"),
        ("codes.npy", npy(np.zeros((3, 4), np.int64)), "codes are int64 [3, 4]; expected uint16 [T, n]"),
        ("codes.npy", npy(np.zeros(3, np.uint16)), "codes are uint16 [3]; expected uint16 [T, n]"),
        ("codes.npy", npy(np.zeros((2, 4), np.uint16)), "actions are float64 [3, 7]; expected float64 [2, 7]"),
        ("actions.npy", npy(np.zeros((3, 6), np.float64)), "actions are float64 [3, 6]; expected float64 [3, 7]"),
        ("actions.npy", npy(np.full((3, 7), np.nan, np.float64)), "step 0: the action is not finite"),
    ],
)
def test_a_sample_that_is_not_what_was_written_is_named(tmp_path, member, content, message):
    members = {
        "actions.npy": npy(np.zeros((3, 7), np.float64)),
        "codes.npy": npy(np.zeros((3, 4), np.uint16)),
        "info.json": json.dumps({"task": "push", "demo": "demo_0", "language": "push it"}).encode(),
    }
    with tarfile.open(tmp_path / "000000.tar", "w") as tar:
        for name, original in members.items():
            data = content if name == member else original
            if data is not None:
                info = tarfile.TarInfo(f"push/demo_0.{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    told = refuse(tmp_path)
    assert "000000.tar: push/demo_0" in told
    assert message in told


class MeanColours:
    """A fake image tokenizer: a code is the mean of a 16-pixel square."""

    pixels = 16
    codes_per_image = 1
    num_calls = 0
    stop_at = None

    def encode(self, frames):
        MeanColours.num_calls += 1
        if MeanColours.num_calls == MeanColours.stop_at:
            raise KeyboardInterrupt
        assert len(frames) <= 4
        return frames.reshape(len(frames), 16 * 16, 3).mean((1, 2)).astype(np.uint16)[:, None]


def encoding_inputs(tmp_path, monkeypatch, kept=10):
    """Write a suite of ten episodes, of which some were kept, and return the flags of the stage encode but out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(encode.ImageTokenizer, "load", lambda folder: MeanColours())
    rows = [
        {"suite": "goal", "task": "push", "task_index": 0, "language": "push it", "demo": f"demo_{i}", "kept": i < kept}
        | {"reason": "kept" if i < kept else "failed", "num_raw_steps": 10, "num_noops": 0, "num_steps": 10}
        for i in range(10)
    ]
    write_table(tmp_path / "filtered/episodes.parquet", rows, EPISODES)
    with h5py.File(tmp_path / "filtered/push_demo.hdf5", "w") as file:
        file.create_group("data").attrs["language"] = "push it"
        for row in rows:
            write_episode(file["data"], filtered_episode(row["demo"], 10))
    names = ["train"] * 9 + ["val_ind"]
    split = [{"suite": "goal", "task": "push", "demo": row["demo"], "split": names[i]} for i, row in enumerate(rows)]
    write_table(tmp_path / "goal.parquet", split, SCHEMA)
    (tmp_path / "params.yaml").write_text("encode: {episodes_per_shard: 2, batch: 4}")
    (tmp_path / "tokenizer").mkdir()
    paths = {"params": "params.yaml", "filtered": "filtered", "split": "goal.parquet", "tokenizer": "tokenizer"}
    return {name: tmp_path / path for name, path in paths.items()}


def test_an_interrupted_encoding_continues_to_the_same_bytes(tmp_path, monkeypatch, units_here):
    """Ten episodes of ten frames, two per shard, four frames per call."""
    paths = encoding_inputs(tmp_path, monkeypatch)

    def run(out, stop_at):
        MeanColours.num_calls, MeanColours.stop_at = 0, stop_at
        encode.main(**paths, out=tmp_path / out)
        return MeanColours.num_calls

    assert run("whole", stop_at=None) == 30
    with pytest.raises(KeyboardInterrupt):
        run("shards", stop_at=14)
    assert not (tmp_path / "shards").exists()
    (work,) = (tmp_path / "work/encode").iterdir()
    (work / "results/.partial-06b7413f-train-000002.tar").write_bytes(b"of a process that was killed")
    assert run("shards", stop_at=None) == 18  # two shards of six calls were done
    assert [episode.demo for episode in read_shards(tmp_path / "shards/train")] == [f"demo_{i}" for i in range(9)]
    assert read_shards(tmp_path / "shards/val_ind")[0].codes.shape == (10, 1)
    assert folder_digest(tmp_path / "shards") == folder_digest(tmp_path / "whole")
    assert not list((tmp_path / "work/encode").iterdir())


def test_a_full_disk_is_one_of_the_stage_and_what_was_done_is_not_done_again(tmp_path, monkeypatch, units_here, capsys):
    paths = encoding_inputs(tmp_path, monkeypatch)
    written = []

    def fill(path, episodes):
        written.append(path)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_shard(path, episodes)

    monkeypatch.setattr(encode, "write_shard", fill)
    with pytest.raises(OSError, match="No space left on device") as caught:
        encode.main(**paths, out=tmp_path / "shards")
    assert caught.value.errno == errno.ENOSPC
    assert "encode:  40%" in capsys.readouterr().err.strip().splitlines()[-1], "no bar is shown behind what went wrong"
    assert len(written) == 3, "it is not tried again before somebody has made room"
    encode.main(**paths, out=tmp_path / "shards")
    assert len(written) == 6 + 1
    assert len(read_shards(tmp_path / "shards/train")) == 9


def test_an_episode_of_the_split_that_was_not_kept_is_named_before_work_begins(tmp_path, monkeypatch):
    paths = encoding_inputs(tmp_path, monkeypatch, kept=8)
    message = r"goal.parquet: the episode 'push/demo_8' is not among the kept ones of .*filtered; .* Run: dvc repro"
    with pytest.raises(ValueError, match=message):
        encode.main(**paths, out=tmp_path / "shards")
    assert not (tmp_path / "work").exists()


def test_an_action_on_the_edge_of_a_bin_keeps_its_side(tmp_path):
    """-0.225 rad is id 10056 in the release; rounded to float32 it would be 10057."""
    one = episode(0, 1)
    one.actions[0] = [0, 0, 0, 0, -0.225, 0, 0]
    write_shards(tmp_path, [one], per_shard=1)
    bins = ActionTokenizer.published("release").encode(read_shards(tmp_path)[0].actions)
    assert bins[0, 4] + CHAMELEON.first_bin == 10_056
