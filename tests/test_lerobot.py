"""LeRobot datasets: what is exported is as the public sets are, and comes back the same, without a simulator."""

import ast
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from lerobot_golden.regenerate import HERE
from lerobot_things import (
    DATA,
    DEMOS,
    DOWNLOAD,
    FILTER,
    LIST,
    PIXELS,
    TASKS,
    exported,
    filtered_episode,
    write_filtered,
)

from pipeline import download, filter
from worldvla import export as exporting
from worldvla.data.episodes import read_episodes_table, read_filtered
from worldvla.data.lerobot import pictures, statistics, writing
from worldvla.data.lerobot.catalogue import read_catalogue
from worldvla.data.lerobot.info import IMAGE, read_info
from worldvla.data.lerobot.reading import read_frames, read_steps
from worldvla.files import folder_digest

REPOSITORY = Path(__file__).parents[1]
WORST_DB = 30  # of the video of a smooth picture at 16 px


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def originals() -> list:
    return [filtered_episode(100 * task.index + number) for task in TASKS for number in range(DEMOS)]


def import_dataset(here: Path) -> Path:
    """Download and filter ``mine``, as the pipeline does; return the filtered folder."""
    (here / "goal.yaml").write_text(yaml.safe_dump({"download": DOWNLOAD, "filter": FILTER}))
    download.main(params=here / "goal.yaml", out=here / "raw")
    filter.main(params=here / "goal.yaml", raw=here / "raw", out=here / "filtered")
    return here / "filtered"


def psnr(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return 10 * np.log10(255**2 / np.maximum(((one.astype(float) - other) ** 2).mean((1, 2, 3)), 1e-10))


class TestAnExport:
    def test_has_the_files_and_keys_of_the_public_sets(self, here, capsys):
        folder = exported(here)
        printed = capsys.readouterr().out
        assert "mine: 40 episodes, 279 frames of 16 px, " in printed
        assert printed.splitlines()[-1].startswith("Next: demonstrations: lerobot")
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert found == {DATA, LIST, "meta/info.json", "meta/stats.json", "meta/tasks.parquet"}
        info = json.loads((folder / "meta/info.json").read_text())
        assert info["codebase_version"] == "v3.0"
        assert (info["fps"], info["robot_type"], info["splits"]) == (10, "panda", {"train": "0:40"})
        assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (40, 279, 4)
        assert (info["chunks_size"], info["data_files_size_in_mb"], info["video_files_size_in_mb"]) == (1000, 100, 200)
        assert info["data_path"] == "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
        assert info["video_path"] is None
        shapes = {name: (feature["dtype"], feature["shape"]) for name, feature in info["features"].items()}
        counters = {name: ("int64", [1]) for name in ("frame_index", "episode_index", "index", "task_index")}
        assert shapes == counters | {
            "observation.images.image": ("image", [16, 16, 3]),
            "observation.state": ("float32", [8]),
            "action": ("float32", [7]),
            "timestamp": ("float32", [1]),
        }

    def test_has_a_row_per_frame_and_a_group_of_rows_per_episode(self, here):
        folder = exported(here)
        file = pq.ParquetFile(folder / DATA)
        assert file.metadata.num_row_groups == 40
        table, one = file.read(), filtered_episode(101)
        rows = table.filter(pa.compute.equal(table["episode_index"], 11)).to_pylist()
        assert [row["frame_index"] for row in rows] == list(range(len(one.actions)))
        assert table["index"].to_pylist() == list(range(279))
        assert {row["task_index"] for row in rows} == {1}
        assert [row["timestamp"] for row in rows] == [np.float32(step / 10) for step in range(len(rows))]
        assert np.array_equal([row["action"] for row in rows], one.actions)
        state = np.concatenate([one.ee_states, one.gripper_states], 1).astype(np.float32)
        assert np.array_equal([row["observation.state"] for row in rows], state)
        image = rows[2]["observation.images.image"]
        assert image["bytes"].startswith(b"\x89PNG")
        assert np.array_equal(pictures.decode_image(image["bytes"], ""), one.frames[2])
        noted = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert noted["observation.images.image"] == {"_type": "Image"}
        assert noted["action"]["length"] == 7

    def test_lists_its_episodes_and_tasks(self, here):
        folder = exported(here)
        tasks = pq.read_table(folder / "meta/tasks.parquet")
        assert tasks.to_pylist() == [{"task_index": task.index, "task": task.language} for task in TASKS]
        assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
        rows = pq.read_table(folder / LIST, partitioning=None).to_pylist()
        assert [row["episode_index"] for row in rows] == list(range(40))
        assert [row["length"] for row in rows] == [len(one.actions) for one in originals()]
        assert rows[11]["tasks"] == [TASKS[1].language]
        assert rows[11]["dataset_to_index"] - rows[11]["dataset_from_index"] == rows[11]["length"]
        assert rows[0]["stats/action/count"] == [6]

    def test_has_the_statistics_of_what_is_stored(self, here):
        stats = json.loads((exported(here) / "meta/stats.json").read_text())
        actions = np.concatenate([one.actions for one in originals()])
        expected = {"min": actions.min(0), "max": actions.max(0), "mean": actions.mean(0), "std": actions.std(0)}
        expected |= {name: np.quantile(actions, share, axis=0) for name, share in statistics.QUANTILES.items()}
        for name, values in expected.items():
            assert stats["action"][name] == pytest.approx(values.tolist())
        assert stats["action"]["count"] == [279]
        pixels = np.concatenate([one.frames for one in originals()]) / 255
        image = stats["observation.images.image"]
        for name, reduced in (("min", np.min), ("max", np.max), ("mean", np.mean), ("std", np.std)):
            assert np.shape(image[name]) == (3, 1, 1)
            assert np.ravel(image[name]) == pytest.approx(reduced(pixels, axis=(0, 1, 2)))
        for name, share in statistics.QUANTILES.items():
            expected = np.quantile(pixels.reshape(-1, 3), share, axis=0)
            assert np.ravel(image[name]) == pytest.approx(expected, abs=1 / 255)
        assert image["count"] == [279]
        assert stats["timestamp"]["max"] == pytest.approx([0.7])

    def test_is_the_same_bytes_again_and_replaces_itself(self, here):
        first = folder_digest(exported(here))
        exporting.export("goal", Path("mine"))
        assert folder_digest(here / "mine") == first

    def test_that_breaks_leaves_nothing_that_looks_whole(self, here, monkeypatch):
        write_filtered(here)
        monkeypatch.setattr(writing.DatasetWriter, "close", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            exporting.export("goal", Path("mine"))
        assert not (here / "mine").exists()
        assert not list(here.rglob("info.json"))

    def test_of_what_is_not_there_is_refused(self, here, capsys):
        write_filtered(here)
        with pytest.raises(SystemExit, match=r"^export: data/filtered/object-main: no filtered episodes of the suite"):
            exporting.main(["lerobot", "object"])
        (here / "full").mkdir()
        (here / "full/thesis.tex").write_text("")
        with pytest.raises(
            SystemExit, match=r"^export: full: is there, and no export of ours; expected an empty or no"
        ):
            exporting.main(["lerobot", "goal", "--out", "full"])
        shutil.copytree(HERE / "image", here / "theirs")
        with pytest.raises(SystemExit, match=r"^export: theirs: is there, and no export of ours"):
            exporting.main(["lerobot", "goal", "--out", "theirs"])
        exporting.main(["lerobot", "goal"])
        assert (here / "exports/lerobot/mini_goal/meta/info.json").is_file()

    def test_has_the_rate_of_the_controller(self):
        tree = ast.parse((REPOSITORY / "worldvla/simulation/mini/problem.py").read_text())
        rates = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CONTROL_HZ"
        ]
        assert rates == [exporting.FPS["mini"]]
        assert "CONTROL_HZ if mini else 20," in (REPOSITORY / "worldvla/simulation/problems.py").read_text()

    def test_goes_on_in_another_file_when_one_is_full(self, here):
        for form in ("image", "video"):
            writer = writing.DatasetWriter(
                here / form,
                form=form,
                fps=10,
                pixels=PIXELS,
                has_state=True,
                looks="simple",
                data_bytes=9000,
                video_bytes=2000,
            )
            for one in originals()[:12]:
                writer.write(
                    TASKS[0].language, one.frames, one.actions, np.concatenate([one.ee_states, one.gripper_states], 1)
                )
            writer.close()
            info = read_info(here / form)
            entries = read_catalogue(info)
            assert len({entry.video if form == "video" else entry.data for entry in entries}) > 1
            for entry, one in zip(entries, originals()[:12], strict=True):
                assert np.array_equal(read_steps(info, entry).actions, one.actions)
                assert psnr(read_frames(info, entry), one.frames).min() > (WORST_DB if form == "video" else 99)


class TestAnImport:
    def test_gives_the_same_actions_and_frames(self, here, units_here, capsys):
        exported(here)
        back = list(read_filtered(import_dataset(here)))
        for one, original in zip(back, originals(), strict=True):
            assert np.array_equal(one.actions, original.actions)
            assert np.array_equal(one.frames, original.frames)
        assert [one.language for one in back] == [task.language for task in TASKS for _ in range(DEMOS)]
        rows = read_episodes_table(here / "filtered")
        assert {row["reason"] for row in rows} == {"kept"}
        assert sum(row["num_steps"] for row in rows) == 279
        with h5py.File(next((here / "filtered").glob("*.hdf5"))) as file:
            demo = next(iter(file["data"].values()))
            assert set(demo["obs"]) == {"agentview_rgb", "ee_ori", "ee_pos", "ee_states", "gripper_states"}
        printed = capsys.readouterr().out
        assert "raw: 4 tasks, 40 demonstrations, 279 steps (lerobot). Next: filter" in printed
        assert "filtered: kept 40; 279 steps kept, 0 no-ops dropped. Next: split" in printed

    def test_of_a_video_gives_the_same_actions_and_nearly_the_same_frames(self, here, units_here, capsys):
        folder = exported(here, video=True)
        (told,) = [line for line in capsys.readouterr().out.splitlines() if "PSNR" in line]
        assert {path.name for path in folder.glob(f"videos/{IMAGE}/*/*")} == {"file-000.mp4"}
        assert IMAGE not in pq.read_schema(folder / DATA).names
        back = list(read_filtered(import_dataset(here)))
        scores = [psnr(one.frames, original.frames) for one, original in zip(back, originals(), strict=True)]
        assert np.concatenate(scores).min() > WORST_DB
        assert f"PSNR {np.concatenate(scores).mean():.1f} dB (worst frame {np.concatenate(scores).min():.1f})" in told
        for one, original in zip(back, originals(), strict=True):
            assert np.array_equal(one.actions, original.actions)

    def test_that_is_exported_again_is_the_same_dataset(self, here, units_here):
        first = folder_digest(exported(here))
        import_dataset(here).rename(here / "again")
        (here / "data/filtered/goal-main").rename(here / "before")
        (here / "again").rename(here / "data/filtered/goal-main")
        exporting.export("goal", Path("mine"))
        assert folder_digest(here / "mine") == first

    def test_of_a_dataset_without_state_has_no_state(self, here, units_here):
        write_filtered(here)
        for path in (here / "data/filtered/goal-main").glob("*.hdf5"):
            with h5py.File(path, "r+") as file:
                for demo in file["data"].values():
                    del demo["obs/ee_states"]
        exporting.export("goal", Path("mine"))
        assert not read_info(here / "mine").has_state
        with h5py.File(next(import_dataset(here).glob("*.hdf5"))) as file:
            assert set(next(iter(file["data"].values()))["obs"]) == {"agentview_rgb"}

    def test_is_found_in_the_suites_own_folder(self, here):
        exported(here).rename(here / "inner")
        (here / "mine").mkdir()
        (here / "inner").rename(here / "mine/mini_goal")
        (here / "goal.yaml").write_text(yaml.safe_dump({"download": DOWNLOAD}))
        download.main(params=here / "goal.yaml", out=here / "raw")
        manifest = json.loads((here / "raw/manifest.json").read_text())
        assert manifest.keys() == {DATA, LIST, "meta/info.json", "meta/tasks.parquet"}
        assert all(entry["origin"] == "lerobot" for entry in manifest.values())
