"""Frames are stored small, come back as they were, and are never all in memory."""

import contextlib
import dataclasses
import functools
import hashlib
import re
import shutil
import tracemalloc
from types import SimpleNamespace
from typing import cast

import h5py
import numpy as np
import pytest
import yaml
from slider import Slider
from test_episodes import HEADER, demonstration, filtered_episode
from test_vqgan import TINY

from pipeline import encode, tokenizer
from worldvla.data import filter_units, raw
from worldvla.data.episodes import EPISODES, write_episode, write_table
from worldvla.data.frame_sources import EpisodeFrames, FrameFile, unpack
from worldvla.data.frames import size_of, write_frames
from worldvla.data.splits import SCHEMA
from worldvla.running.cores import STAGE_CORES
from worldvla.running.forecast import forecast
from worldvla.tokenizers.image import ImageTokenizer
from worldvla.tokenizers.reconstruction import MEDIAN_FRAMES, WORKING_FRAMES, measure, median_frame

TASK = "push"


def still_scene(num_frames, pixels=96):
    """A picture of noise, in front of which a square moves."""
    random = np.random.default_rng(0)
    frames = np.repeat(random.integers(0, 256, (1, pixels, pixels, 3), np.uint8), num_frames, 0)
    for number, frame in enumerate(frames):
        frame[number % 10 : number % 10 + 6, 4:12] = (200, 30, 30)
    return frames


@pytest.mark.parametrize(("num_frames", "pixels"), [(1, 16), (5, 4), (16, 16), (37, 20), (33, 96)])
def test_frames_come_back_as_they_were_all_and_one(tmp_path, num_frames, pixels):
    frames = still_scene(num_frames, pixels)
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        write_frames(file, "obs/rgb", frames)
    with h5py.File(tmp_path / "x.hdf5") as file:  # by HDF5's own filter, as any reader does
        assert file["obs/rgb"].compression == "gzip"
        assert (file["obs/rgb"][()] == frames).all()
        assert (file["obs/rgb"][num_frames // 2] == frames[num_frames // 2]).all()


def test_the_same_frames_give_the_same_bytes_on_every_machine(tmp_path):
    """The digest is zlib's, whichever the system has; zlib-ng would give another."""
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        write_frames(file, "rgb", still_scene(20, 32))
        stored = file["rgb"].id
        chunks = [stored.read_direct_chunk((start, top, 0, 0))[1] for start in (0, 16) for top in range(0, 32, 8)]
    assert (
        hashlib.sha256(b"".join(chunks)).hexdigest()
        == "0cb33f26251ec2033aa642fb8c9d41ede487b8bcecc45307b3397adeb550e7c2"
    )


def test_what_does_not_move_costs_nearly_nothing(tmp_path):
    frames = still_scene(32)
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        write_frames(file, "rgb", frames)
        assert file["rgb"].id.get_storage_size() < 0.1 * frames.nbytes  # 2 frames of 32 are noise


def write_filtered(folder, num_episodes, num_frames, pixels):
    """Write a suite of one task, and its split: every eighth episode is held out; return the flags of a stage but out."""
    rows = [
        {"suite": "goal", "task": TASK, "task_index": 0, "language": "push it", "demo": f"demo_{i}", "kept": True}
        | {"reason": "kept", "num_raw_steps": num_frames, "num_noops": 0, "num_steps": num_frames}
        for i in range(num_episodes)
    ]
    folder.mkdir()
    write_table(folder / "filtered/episodes.parquet", rows, EPISODES)
    with h5py.File(raw.task_file(folder / "filtered", TASK), "w") as file:
        data = file.create_group("data")
        data.attrs["language"] = "push it"
        for number, row in enumerate(rows):
            frames = np.roll(still_scene(num_frames, pixels), number, axis=2)
            write_episode(data, dataclasses.replace(filtered_episode(row["demo"], num_frames), frames=frames))
    splits = [
        {"suite": "goal", "task": TASK, "demo": row["demo"], "split": "train" if number % 8 else "val_ind"}
        for number, row in enumerate(rows)
    ]
    write_table(folder / "split.parquet", splits, SCHEMA)
    return {"filtered": folder / "filtered", "split": folder / "split.parquet"}


@pytest.fixture
def episodes(tmp_path):
    paths = write_filtered(tmp_path / "suite", 3, 7, 16)
    frames = EpisodeFrames(paths["filtered"], [(TASK, f"demo_{number}") for number in (2, 0, 1)])
    return frames, np.concatenate([frames.episode(index) for index in range(3)])


def test_frames_of_episodes_are_one_sequence_in_any_order(episodes, tmp_path):
    frames, together = episodes
    assert len(frames) == len(together) == 21
    chosen = np.array([20, 0, 13, 7, 7, 6, 14])
    assert (frames[chosen] == together[chosen]).all()
    unpacked = unpack(frames, tmp_path / "frames.rgb", 16)
    assert len(unpacked) == 21
    assert (unpacked[chosen] == together[chosen]).all()
    unpacked.close()


def test_frames_are_unpacked_once_and_again_if_the_file_is_cut(episodes, tmp_path, monkeypatch):
    frames, together = episodes
    path = tmp_path / "frames.rgb"
    unpack(frames, path, 16).close()
    path.write_bytes(path.read_bytes()[:1000])
    unpack(frames, path, 16).close()
    monkeypatch.setattr(EpisodeFrames, "episode", lambda self, index: pytest.fail("unpacked again"))
    with contextlib.closing(unpack(frames, path, 16)) as unpacked:
        assert (unpacked[np.arange(21)] == together).all()


def test_episodes_that_are_not_there_or_of_another_size_are_named(episodes, tmp_path):
    frames, _ = episodes
    folder = tmp_path / "suite/filtered"
    with pytest.raises(
        ValueError, match=r"filtered: the episode 'push/demo_9' is not among the kept .*-f filter split$"
    ):
        EpisodeFrames(folder, [(TASK, "demo_9")])
    with pytest.raises(
        ValueError, match=r"an episode has frames \[7, 16, 16, 3\]; expected \[7, 32, 32, 3\]; run: dvc "
    ):
        unpack(frames, tmp_path / "frames.rgb", 32)
    assert not (tmp_path / "frames.rgb").exists()


def test_needs_are_told_in_words():
    assert size_of(2, 96) == 2 * 96 * 96 * 3
    told = forecast(52_000, 96, size_of(52_000, 96), 2e8)
    assert told == "frames: 52,000 of 96 px; about 1.4 GB on disk, at most 200 MB in memory"


def test_what_would_fill_the_disk_is_refused_but_not_what_has_begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2e9))
    forecast(52_000, 96, 2.1e9, 0)  # a forecast is not that exact
    message = r"^work/ and data/: 2.0 GB free; expected about 4.0 GB; free some space, or work in a checkout on a la"
    with pytest.raises(ValueError, match=message):
        forecast(52_000, 96, 4e9, 0)
    (tmp_path / "work/tokenizer").mkdir(parents=True)
    with (tmp_path / "work/tokenizer/frames.rgb").open("wb") as stream:
        stream.truncate(int(1.9e9))
    forecast(52_000, 96, 4e9, 0)


def peak(run):
    """Return the bytes of Python's and NumPy's memory that a call needs at once."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


NUM_EPISODES, NUM_FRAMES, PIXELS = 16, 250, 64  # 49 MB in all, an episode 3.1 MB
SLACK = 1_000_000  # what else a stage needs: tables, buffers, Python


def announced(printed):
    """Return how many bytes a stage said that it holds; it rounds up to whole MB, which the slack is beside."""
    return int(re.findall(r"at most (\d+) MB in memory", printed)[-1]) * 1e6


class OneCode:
    """A fake image tokenizer."""

    pixels, codes_per_image, num_codes = PIXELS, 4, 8

    def encode(self, frames):
        return np.zeros((len(frames), 4), np.uint16)

    def decode(self, codes):
        return np.zeros((len(codes), PIXELS, PIXELS, 3), np.uint8)


def test_encoding_holds_what_it_announces(tmp_path, monkeypatch, capsys, units_here):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(STAGE_CORES, "1")
    monkeypatch.setattr(encode.ImageTokenizer, "load", lambda folder: OneCode())
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "params.yaml").write_text("encode: {episodes_per_shard: 64, batch: 16}")
    for number in (8, NUM_EPISODES):  # the first imports
        paths = write_filtered(tmp_path / f"suite-{number}", number, NUM_FRAMES, PIXELS)
        inputs = {"params": tmp_path / "params.yaml", "tokenizer": tmp_path / "tokenizer", **paths}
        held = peak(lambda: encode.main(**inputs, out=tmp_path / "shards"))  # noqa: B023
    printed = capsys.readouterr().out
    assert "frames: 4,000 of 64 px; about 1 MB on disk, at most 4 MB in memory" in printed
    assert held < announced(printed) + SLACK


def test_training_a_tokenizer_holds_what_it_announces(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    section = dataclasses.asdict(dataclasses.replace(TINY, pixels=PIXELS, discriminator_start=9, checkpoint_every=9))
    section["channel_multiplier"] = list(TINY.channel_multiplier)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"tokenizer": section}))
    for number in (8, NUM_EPISODES):
        paths = write_filtered(tmp_path / f"suite-{number}", number, NUM_FRAMES, PIXELS)
        inputs = {"params": tmp_path / "params.yaml", **paths}
        held = peak(lambda: tokenizer.main(**inputs, out=tmp_path / "out"))  # noqa: B023
    printed = capsys.readouterr().out
    assert "frames: 3,500 of 64 px; about 44 MB on disk, at most 6 MB in memory" in printed  # 500 frames are held out
    assert held < announced(printed) + SLACK
    assert not list((tmp_path / "work/tokenizer").iterdir())


class Camera(Slider):
    """A fake simulator with larger pictures."""

    def frame(self):
        return np.zeros((PIXELS, PIXELS, 3), np.uint8)


def test_filtering_holds_what_it_announces(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(STAGE_CORES, "1")
    num_steps = 2 * NUM_FRAMES
    recorded = demonstration(0, num_steps)
    recorded.actions[:] = 0.01
    recorded.states[:] = 0
    raw.write_raw(raw.task_file(tmp_path, TASK), HEADER, [recorded] * 8)
    task = filter_units.FilterTask("goal", TASK, 0, "push it", PIXELS)
    parts = filter_units.cut([task], tmp_path)
    told = filter_units.expectation(parts)
    assert told == f"frames: {8 * num_steps:,} of 64 px; about 24 MB on disk, at most 7 MB in memory"
    (tmp_path / "out").mkdir()
    results = [tmp_path / f"{number}.hdf5" for number in range(len(parts))]

    def run():
        for part, path in zip(parts, results, strict=True):
            build = functools.partial(contextlib.nullcontext, Camera(goal=4.9))
            filter_units.replay_all(part, path, build, lambda count: None)
        assert all(row["kept"] for row in filter_units.join_units(parts, results, tmp_path / "out"))

    assert peak(run) < announced(told) + SLACK


def test_every_worker_holds_an_episode(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "machine.yaml").write_text("workers: 3\ngpus_per_worker: 0")
    recorded = demonstration(0, NUM_FRAMES)
    raw.write_raw(raw.task_file(tmp_path, TASK), HEADER, [recorded] * 2 * filter_units.DEMOS_PER_UNIT)
    parts = filter_units.cut([filter_units.FilterTask("goal", TASK, 0, "push it", PIXELS)], tmp_path)
    assert "at most 7 MB in memory" in filter_units.expectation(parts)  # two units: as many workers
    images = cast(ImageTokenizer, OneCode())
    for num_shards, megabytes in ((1, 4), (2, 7), (9, 10)):
        assert f"at most {megabytes} MB in memory" in encode.expectation([NUM_FRAMES] * 16, num_shards, images)
    (tmp_path / "machine.yaml").write_text("workers: 0")  # those of others
    assert "at most 4 MB in memory" in encode.expectation([NUM_FRAMES] * 16, 9, images)


@pytest.mark.parametrize("pairs", [[0, 1, 2, 3], [3, 3, 0]])
def test_chosen_frames_are_held_once(tmp_path, pairs):
    paths = write_filtered(tmp_path / "suite", 4, NUM_FRAMES, PIXELS)
    frames = EpisodeFrames(paths["filtered"], [(TASK, f"demo_{number}") for number in pairs])
    expected = np.concatenate([frames.episode(index) for index in range(len(pairs))])
    assert (frames[np.arange(len(frames))] == expected).all()
    assert peak(lambda: frames[np.arange(len(frames))]) < expected.nbytes + 300_000


def test_a_median_needs_no_second_copy():
    frames = np.random.default_rng(2).integers(0, 256, (300, PIXELS, PIXELS, 3), np.uint8)
    before = frames.copy()
    assert peak(lambda: median_frame(frames)) < size_of(MEDIAN_FRAMES, PIXELS) + 300_000
    assert (frames == before).all()  # it sorts frames of its own


def test_a_sample_is_measured_in_parts_to_the_same_numbers():
    class Rounding(OneCode):
        def encode(self, frames):
            return (frames.reshape(len(frames), 4, -1).mean(2) // 32).astype(np.uint16)

        def decode(self, codes):
            return (
                np.repeat(codes * 32, PIXELS * PIXELS * 3 // 4, axis=1).reshape(-1, PIXELS, PIXELS, 3).astype(np.uint8)
            )

    frames = np.random.default_rng(1).integers(0, 256, (70, PIXELS, PIXELS, 3), np.uint8)
    median = np.full((PIXELS, PIXELS, 3), 99, np.uint8)
    told = measure(cast(ImageTokenizer, Rounding()), frames, median)
    errors = (Rounding().decode(Rounding().encode(frames)).astype(float) - frames) ** 2
    moved = np.abs(frames.astype(int) - median).max(-1) > 20
    assert (
        peak(lambda: measure(cast(ImageTokenizer, OneCode()), frames, median)) < size_of(WORKING_FRAMES, PIXELS) + 1e5
    )
    assert told["psnr"] == float(10 * np.log10(255.0**2 / errors.mean()))
    assert told["foreground_psnr"] == float(10 * np.log10(255.0**2 / errors[moved].mean()))


def test_a_file_of_frames_knows_how_many_it_has(tmp_path):
    (tmp_path / "x.rgb").write_bytes(bytes(size_of(3, 16)))
    with contextlib.closing(FrameFile(tmp_path / "x.rgb", 16)) as frames:
        assert len(frames) == 3
        with pytest.raises(AssertionError, match="frame 3 of 3"):
            frames[np.array([3])]


def test_a_file_of_frames_that_is_cut_meanwhile_is_named(tmp_path):
    path = tmp_path / "x.rgb"
    path.write_bytes(bytes(size_of(3, 16)))
    with contextlib.closing(FrameFile(path, 16)) as frames:
        path.write_bytes(bytes(size_of(2, 16) + 5))
        with pytest.raises(
            ValueError, match=r"x.rgb: frame 2 has 5 bytes; expected 768; .*run the same command, which"
        ):
            frames[np.array([0, 2])]
