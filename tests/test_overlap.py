"""What the filter kept of the published demonstrations, beside what others kept."""

import pytest

from worldvla.data.hub import published
from worldvla.data.kept.overlap import compare, overlap, read_kept
from worldvla.params.benchmarks import SUITES
from worldvla.simulation.tasks import tasks

GOAL = [file for file in published.load("demonstrations").files if file.path.startswith("libero_goal/")]
DIGESTS = [str(file.sha256) for file in GOAL]
STOVE = "turn_on_the_stove"


def row(task: str, number: int, kept: bool) -> dict[str, object]:
    return {"task": task, "demo": f"demo_{number}", "kept": kept}


@pytest.mark.parametrize(("suite", "kept"), [("spatial", 432), ("object", 454), ("goal", 428), ("long", 379)])
def test_openvla_s_list_keeps_as_many_as_its_data_holds_of_libero_s_own_tasks(suite, kept):
    listed = read_kept(str(SUITES["libero"][suite].libero_name))
    assert len(listed) == kept
    assert {task for task, _ in listed} == {task.name for task in tasks("libero", suite)}


def test_the_overlap_counts_each_side_and_both_of_the_tasks_that_the_filter_saw():
    rows = [row(STOVE, 0, True), row(STOVE, 1, True), row(STOVE, 2, False), row("other", 3, True)]
    listed = {(STOVE, "demo_1"), (STOVE, "demo_2"), ("other", "demo_0"), ("cut away", "demo_0")}
    assert overlap(rows, listed) == (3, 3, 1)


def test_published_demonstrations_are_compared_with_openvla_s_list():
    bowl = "put_the_bowl_on_the_stove"
    rows = [row(task.name, 0, task.name in (STOVE, bowl)) for task in tasks("libero", "goal")]
    rows += [row(STOVE, 1, True), row(bowl, 20, True)]  # 20: not OpenVLA's
    ours, both = 4, sum((task, demo) in read_kept("libero_goal") for task, demo in pairs_kept(rows))
    assert compare(rows, DIGESTS) == [f"kept {ours}; OpenVLA's list keeps 428; {both} in both"]
    assert both == 3


def pairs_kept(rows):
    return [(row["task"], row["demo"]) for row in rows if row["kept"]]


def test_a_suite_cut_to_one_task_is_compared_with_that_task_alone():
    digest = next(str(file.sha256) for file in GOAL if STOVE in file.path)
    (line,) = compare([row(STOVE, number, True) for number in range(50)], [digest])
    theirs = sum(task == STOVE for task, _ in read_kept("libero_goal"))
    assert line == f"kept 50; OpenVLA's list keeps {theirs}; {theirs} in both"
    assert theirs <= 50


def test_other_demonstrations_are_compared_with_nothing():
    rows = [row(STOVE, 0, True)]
    assert compare(rows, ["0" * 64]) == []
    assert compare(rows, [*DIGESTS[:9], "0" * 64]) == []
