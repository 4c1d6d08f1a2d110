"""What is wrong with a LeRobot dataset is said in one sentence, before anything runs where params alone tell it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from lerobot_things import DATA, DOWNLOAD, FILTER, LIST, TASKS, edit_info, edit_table, exported, set_column
from resolve_project import copy_project, edit, faults, resolved

from pipeline import download, filter
from worldvla.data.lerobot.info import IMAGE
from worldvla.files import file_digest

KNOWN = r"name another demonstrations_folder$"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return exported(tmp_path)


def refused(match: str, **changes: object) -> None:
    """Expect one sentence of download, which leaves nothing."""
    Path("goal.yaml").write_text(yaml.safe_dump({"download": DOWNLOAD | changes}))
    with pytest.raises(ValueError, match=match) as caught:
        download.main(params=Path("goal.yaml"), out=Path("raw"))
    assert len(str(caught.value).splitlines()) == 1
    assert not Path("raw").exists()


def shape(name: str, value: list[int]) -> Callable[[dict[str, Any]], object]:
    return lambda info: info["features"][name].update(shape=value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda info: info.update(codebase_version="v2.1"),
            r'is "v2.1"; expected \'v3.0\'; convert it with lerobot: python',
        ),
        (lambda info: info.pop("codebase_version"), r"codebase_version is null; expected 'v3.0'"),
        (lambda info: info.pop("fps"), r"not as LeRobot v3.0 writes it \(no 'fps'\); download or export it again"),
        (lambda info: info.update(fps=0), r"fps is 0; expected a number above 0"),
        (
            shape("action", [14]),
            r"'action' has the shape \[14\]; expected \[7\]: translation 3, rotation 3, gripper 1; it is",
        ),
        (lambda info: info["features"].pop("action"), r"no feature 'action' \(it has: episode_index, "),
        (
            lambda info: info["features"].update(image=info["features"].pop(IMAGE)),
            r"no images 'observation.images.image' \(it has: image\); expected the agentview by that key",
        ),
        (shape(IMAGE, [16, 24, 3]), r"has the shape \[16, 24, 3\]; expected square RGB"),
        (
            lambda info: info.update(data_path="data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"),
            r"data_path is .*; expected chunk_index, file_index in it: its files are named as in v2.1",
        ),
        (
            lambda info: info.update(data_path="../{chunk_index}/{file_index}"),
            r"data_path is .*; expected a path inside the dataset",
        ),
        (
            lambda info: info.update(total_episodes=41),
            r"meta/episodes: 40 of 41 episodes; missing episode 40; expected as",
        ),
    ],
)
def test_what_it_says_about_itself(mine, change, message):
    edit_info(mine, change)
    refused(message)


class TestADataset:
    def test_that_is_none(self, mine):
        (mine / "meta/info.json").write_text("{")
        refused(r"info.json: cannot be read \(.*\); expected JSON")
        (mine / "meta/info.json").unlink()
        refused(
            r"^mine: no meta/info.json; expected a LeRobot dataset v3.0; download or export it again, or name another"
        )
        refused(
            r"demonstrations_folder is 'absent', no such folder; name the folder of your LeRobot data", folder="absent"
        )

    def test_with_missing_episodes(self, mine):
        edit_table(mine / LIST, lambda table: table.filter(pc.field("episode_index") != 7))
        refused(r"^mine/meta/episodes: 39 of 40 episodes; missing episode 7; expected as many as info.json says")

    def test_with_missing_frames(self, mine):
        edit_table(mine / DATA, lambda table: table.filter(pc.field("index") != 3))
        refused(rf"^mine/{DATA}: 5 of 6 frames of episode 0; expected each once; download or export it again")

    def test_with_missing_or_damaged_files(self, mine):
        content = (mine / DATA).read_bytes()
        (mine / DATA).write_bytes(content[:5000])
        refused(rf"^mine/{DATA}: cannot be read \(.*\); expected a whole parquet file; download")
        (mine / DATA).unlink()
        refused(rf"^mine/{DATA}: no such file; expected it in the dataset; download")
        (mine / "meta/tasks.parquet").unlink()
        refused(r"^mine/meta/tasks.parquet: no such file")

    def test_with_actions_of_another_width_than_it_says(self, mine):
        def widen(table: pa.Table) -> pa.Table:
            return set_column(
                table, "action", [[*row, 0.0] for row in table["action"].to_pylist()], pa.list_(pa.float32())
            )

        edit_table(mine / DATA, widen)
        refused(rf"^mine/{DATA}: episode 0: 'action' of 8 numbers; expected 7; {KNOWN}")

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (np.nan, r"episode 1 step 2: action\[4\] is nan; expected a finite number"),
            (3.5, r"episode 1 step 2: action\[4\] is 3.5; expected a command in \[-1, 1\], as the controller takes it"),
        ],
    )
    def test_with_actions_that_no_controller_takes(self, mine, value, message):
        def spoil(table: pa.Table) -> pa.Table:
            rows = table["action"].to_pylist()
            rows[6 + 2][4] = value
            return set_column(table, "action", rows)

        edit_table(mine / DATA, spoil)
        refused(message)

    def test_with_the_gripper_of_rlds_or_the_other_way_round(self, mine):
        original = (mine / DATA).read_bytes()
        for rewrite, message in (
            (lambda one: (1 - one) / 2, r"gripper commands lie in \[0, 1\]; expected -1 \(open\) and \+1 \(close\)"),
            (lambda one: -one, r"the fingers part at gripper commands above 0 and meet below; expected -1 to open"),
        ):
            (mine / DATA).write_bytes(original)
            edit_table(
                mine / DATA,
                lambda table, rewrite=rewrite: set_column(
                    table, "action", [[*row[:6], rewrite(row[6])] for row in table["action"].to_pylist()]
                ),
            )
            refused(message)

    def test_of_other_instructions(self, mine):
        def rename(column: str, other: str) -> Callable[[pa.Table], pa.Table]:
            def change(table: pa.Table) -> pa.Table:
                old = table[column].to_pylist()
                new = [
                    [other] if row == [TASKS[3].language] else other if row == TASKS[3].language else row for row in old
                ]
                return set_column(table, column, new)

            return change

        def spell(other: str) -> None:
            edit_table(mine / LIST, rename("tasks", other))
            edit_table(mine / "meta/tasks.parquet", rename("task", other))

        tables = {name: (mine / name).read_bytes() for name in (LIST, "meta/tasks.parquet")}
        spell("put the milk in the tea")
        refused(
            r"^mine: episode 30 is of 'put the milk in the tea', which no task is called; did you mean 'put the milk in the t"
        )
        for name, content in tables.items():
            (mine / name).write_bytes(content)
        spell("Put the milk in the tray.")  # spelled otherwise, which does not count
        Path("goal.yaml").write_text(yaml.safe_dump({"download": DOWNLOAD}))
        download.main(params=Path("goal.yaml"), out=Path("fine"))

    def test_without_an_episode_of_a_task_that_is_chosen(self, mine):
        def without_last(table: pa.Table) -> pa.Table:
            return table.filter(pc.field("episode_index") < 30)

        edit_table(mine / LIST, without_last)
        edit_info(mine, lambda info: info.update(total_episodes=30))
        refused(
            rf"^mine: no episode of '{TASKS[3].language}' \(it has: 'put the can in the basket', .*\); expected one at"
        )

    def test_of_too_few_episodes_to_hold_some_out(self, mine):
        refused(r"^mine: 1 episodes would be held out to be predicted, of 10 dem", tasks=[0])

    def test_that_changed_since_it_was_recorded(self, mine):
        names = (DATA, LIST, "meta/info.json", "meta/tasks.parquet")
        recorded = {name: file_digest(mine / name) for name in names}
        Path("goal.yaml").write_text(yaml.safe_dump({"download": DOWNLOAD | {"digests": recorded}}))
        download.main(params=Path("goal.yaml"), out=Path("fine"))
        refused(
            rf"^demonstrations_folder: mine/{DATA} has changed since resolve \(sha256 \w{{12}}; expected 0000",
            digests=recorded | {DATA: "0" * 64},
        )


class TestTheFrames:
    def filter(self, match: str, **changes: object) -> None:
        Path("goal.yaml").write_text(yaml.safe_dump({"download": DOWNLOAD, "filter": FILTER | changes}))
        download.main(params=Path("goal.yaml"), out=Path("raw"))
        with pytest.raises(ValueError, match=match):
            filter.main(params=Path("goal.yaml"), raw=Path("raw"), out=Path("filtered"))
        assert not Path("filtered").exists()

    def test_of_another_size_are_refused(self, mine, units_here):
        self.filter(r"^raw: its images have 16 x 16 pixels; expected 32 x 32; run: dvc repro -f resolve", pixels=32)
        edit_info(mine, shape(IMAGE, [32, 32, 3]))
        self.filter(
            r"raw: episode 0, frame 0: 16 x 16 pixels; expected 32 x 32, as info.json says; download", pixels=32
        )

    def test_that_are_no_images_are_refused(self, mine, units_here):
        def spoil(table: pa.Table) -> pa.Table:
            rows = table[IMAGE].to_pylist()
            rows[1]["bytes"] = rows[1]["bytes"][:30]
            return set_column(table, IMAGE, rows)

        edit_table(mine / DATA, spoil)
        self.filter(r"raw: episode 0, frame 1: no image, or a damaged one; expected PNG; download or export it again")

    def test_of_a_video_that_ends_before_are_refused(self, tmp_path, monkeypatch, units_here):
        monkeypatch.chdir(tmp_path)
        folder = exported(tmp_path, video=True)
        (video,) = folder.rglob("*.mp4")
        edit_info(folder, lambda info: info.update(fps=5))
        self.filter(
            r"file-000.mp4: \d of 6 frames from \S+ s on; expected one at every 0.2 s; download or export it again"
        )
        video.write_bytes(video.read_bytes()[:100])
        self.filter(r"file-000.mp4: cannot be read \(.*\); expected a whole video")
        video.unlink()
        refused_by = r"^mine: no 'videos/.*/file-000.mp4' of episode 0; download or export it again"
        shutil.rmtree("raw")
        refused(refused_by)


class TestParams:
    @pytest.fixture
    def project(self, mine, tmp_path):
        copy_project(tmp_path)
        edit("conf/mini.yaml", pixels__main=16)
        edit("params.yaml", demonstrations="lerobot", demonstrations_folder="mine", images=["main"], other_pixels={})
        return tmp_path

    def test_record_every_file_of_a_dataset_but_its_statistics(self, mine, project):
        found = yaml.safe_load(resolved()["goal"])["download"]
        assert found["demonstrations"] == "lerobot"
        names = (DATA, LIST, "meta/info.json", "meta/tasks.parquet")
        assert found["digests"] == {name: file_digest(mine / name) for name in names}
        before = resolved()
        (mine / "meta/stats.json").write_text("{}")
        assert resolved() == before
        edit_info(mine, lambda info: info.update(robot_type="ur5"))
        assert {name for name, text in resolved().items() if text != before[name]} == {"goal"}

    def test_of_other_sizes_and_datasets_are_refused_before_anything_runs(self, mine, project):
        edit("conf/mini.yaml", pixels__main=32)
        assert faults() == [
            "params.yaml: mine: its images have 16 x 16 pixels, but the main size is 32, at which rollouts are rendered; set "
            "pixels.main in conf/ to 16, or name another demonstrations_folder"
        ]
        edit("conf/mini.yaml", pixels__main=16)
        edit_info(mine, shape("action", [8]))
        (fault,) = faults()
        assert fault.startswith("params.yaml: mine/meta/info.json: 'action' has the shape [8]; expected [7]")
        edit("params.yaml", demonstrations_folder=None)
        assert faults() == [
            "params.yaml: demonstrations is 'lerobot' but demonstrations_folder is null; name the folder"
        ]
        edit("params.yaml", demonstrations_folder="absent")
        assert faults() == [
            "params.yaml: demonstrations_folder is 'absent', no such folder; name the folder of your LeRobot dataset"
        ]

    def test_of_other_looks_are_refused(self, mine, project):
        edit("params.yaml", benchmark="libero")
        assert not [fault for fault in _faults() if "looks" in fault]  # ours says simple, and looks is simple
        edit_info(mine, lambda info: info["features"][IMAGE].pop("info"))
        (fault,) = [fault for fault in _faults() if "looks" in fault]
        assert fault == (
            "params.yaml: looks is 'simple', but mine shows scenes of published looks, and policies are to be shown what they "
            "were trained on; make looks published"
        )
        assert json.loads((mine / "meta/info.json").read_text())["fps"] == 10


def _faults() -> list[str]:
    try:
        resolved()
    except ValueError as error:
        return str(error).splitlines()
    return []
