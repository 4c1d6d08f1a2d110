"""What the filter kept of the published demonstrations, beside what others kept."""

import pytest

from worldvla.data.hub import published
from worldvla.data.kept.overlap import LISTS, compare, overlap, read_kept
from worldvla.params.benchmarks import SUITES
from worldvla.simulation.tasks import tasks

GOAL = [file for file in published.load("demonstrations").files if file.path.startswith("libero_goal/")]
DIGESTS = [str(file.sha256) for file in GOAL]
STOVE = "turn_on_the_stove"


def row(task: str, number: int, kept: bool) -> dict[str, object]:
    return {"task": task, "demo": f"demo_{number}", "kept": kept}


@pytest.mark.parametrize(("suite", "kept"), [("spatial", 432), ("object", 454), ("goal", 428), ("long", 379)])
def test_openvla_s_list_keeps_as_many_as_its_data_holds_of_libero_s_own_tasks(suite, kept):
    listed = read_kept(LISTS["OpenVLA's list"], SUITES["libero"][suite].libero_name)
    assert len(listed) == kept
    assert {task for task, _ in listed} == {task.name for task in tasks("libero", suite)}


def test_the_overlap_counts_each_side_and_both():
    rows = [row(STOVE, 0, True), row(STOVE, 1, True), row(STOVE, 2, False), row("other", 3, True)]
    assert overlap(rows, {(STOVE, "demo_1"), (STOVE, "demo_2"), ("other", "demo_0")}) == (3, 3, 1)


def test_published_demonstrations_are_compared_with_every_list_that_is_there(tmp_path):
    ours = tmp_path / "ours.tsv"
    ours.write_text(f"suite\ttask\tkept\tdropped\nlibero_goal\t{STOVE}\t2\t0,2\nlibero_10\tother\t50\t\n")
    rows = [row(STOVE, 0, True), row(STOVE, 1, True), row("put_the_bowl_on_the_stove", 20, True)]  # 20: not OpenVLA's
    assert compare(rows, DIGESTS) == ["kept 3; OpenVLA's list keeps 428; 2 in both"]
    assert compare(rows, DIGESTS, LISTS | {"our frozen list": ours}) == [
        "kept 3; OpenVLA's list keeps 428; 2 in both",
        "kept 3; our frozen list keeps 2; 1 in both",
    ]


def test_other_demonstrations_are_compared_with_nothing():
    rows = [row(STOVE, 0, True)]
    assert compare(rows, ["0" * 64]) == []
    assert compare(rows, [*DIGESTS[:9], "0" * 64]) == []
