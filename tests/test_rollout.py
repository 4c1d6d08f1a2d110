import functools
import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest

from worldvla.files import file_digest
from worldvla.simulation import libero, rollout
from worldvla.simulation.lanes import Call, Episode, Lane, LanePool
from worldvla.simulation.outcomes import describe, write_outcomes
from worldvla.simulation.rollout import record_videos, run_rollouts
from worldvla.simulation.tasks import Task, tasks
from worldvla.simulation.videos import read_video, write_video

TASKS = [
    Task("mini", "goal", index, f"task_{index}", f"do task {index}", Path(f"task_{index}.bddl")) for index in range(3)
]
MAX_STEPS = 23


class FakeSimulator:
    """A sum of the actions; the task is accomplished where it exceeds what the initial state asks."""

    def __init__(self, task: Task, trouble: Path | None = None):
        self.task, self.trouble = task, trouble

    def reset(self, state: np.ndarray) -> None:
        self.wanted, self.sum, self.steps = state[0], np.zeros(7), 0

    def step(self, action: np.ndarray) -> bool:
        self.sum, self.steps = self.sum + action, self.steps + 1
        if self.trouble and self.task.index == 1 and self.wanted > 1.5 and self.steps == 4:
            kind = self.trouble.read_text()
            if kind == "once":
                self.trouble.write_text("over")
            if kind == "exit":
                os._exit(7)
            if kind in ("once", "always"):
                raise RuntimeError("the arm fell off")
        return bool(self.sum[0] > self.wanted)

    def frame(self, pixels: int | None = None) -> np.ndarray:
        side = pixels or 16
        return np.full((side, side, 3), 10 * self.sum[0] % 255, np.uint8) + np.uint8(self.task.index)

    def close(self) -> None:
        del self.sum


class FakePolicy:
    """Its actions depend on the frames, the instruction and, on purpose, on the company in the batch."""

    chunk = 5

    def __init__(self, interrupt_at: int = -1, mute: str = ""):
        self.interrupt_at, self.mute = interrupt_at, mute
        self.batches: list[list[int]] = []  # history lengths of each query

    def encode(self, frames: np.ndarray) -> np.ndarray:
        return frames[:, :2, 0, 0].astype(np.uint16) + len(frames)

    def act(self, languages, histories):
        if len(self.batches) == self.interrupt_at:
            raise KeyboardInterrupt
        self.batches.append([len(history) for history in histories])
        chunks = []
        for row, (language, history) in enumerate(zip(languages, histories, strict=True)):
            seed = hashlib.sha256(f"{language} {history.tolist()} {len(languages)} {row}".encode()).digest()
            chunk = np.random.default_rng(list(seed)).uniform(-0.2, 0.5, (self.chunk, 7))
            chunks.append(None if language == self.mute and len(history) > 1 else chunk)
        return chunks


def episodes(num_init_states: int = 4) -> list[Episode]:
    return [Episode(task, number, np.array([number + 0.2])) for task in TASKS for number in range(num_init_states)]


def outcome_rows(outcomes) -> list[tuple]:
    return [
        (str(outcome.episode), outcome.success, outcome.actions.tobytes(), outcome.policy_failures)
        for outcome in outcomes
    ]


def run(num_workers: int = 1, policy: FakePolicy | None = None, lanes: int = 4, trouble: Path | None = None, **options):
    make = functools.partial(FakeSimulator, trouble=trouble)
    with LanePool(make, lanes, num_workers) as pool:
        return run_rollouts(policy or FakePolicy(), episodes(), pool, history=2, max_steps=MAX_STEPS, **options)[0]


@pytest.fixture(scope="module")
def reference() -> list[tuple]:
    return outcome_rows(run(num_workers=1))


def test_results_do_not_depend_on_the_number_of_workers(reference):
    assert outcome_rows(run(num_workers=3)) == reference
    assert len({success for _, success, *_ in reference}) == 2  # both happen


def test_an_interrupted_run_continues_to_the_same_results(reference, tmp_path, monkeypatch):
    monkeypatch.setattr(rollout, "CHECKPOINT_EVERY_S", 0.0)
    checkpoint = tmp_path / "work" / "state.pickle"
    first = FakePolicy(interrupt_at=6)
    with pytest.raises(KeyboardInterrupt):
        run(policy=first, checkpoint=checkpoint)
    second = FakePolicy()
    assert outcome_rows(run(policy=second, checkpoint=checkpoint)) == reference
    whole = FakePolicy()
    run(policy=whole)
    assert first.batches + second.batches == whole.batches


def test_a_simulator_that_raises_once_changes_nothing(reference, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.write_text("once")
    assert outcome_rows(run(trouble=trouble)) == reference
    assert trouble.read_text() == "over"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("always", "task 'task_1', init state 2: the simulator failed twice: RuntimeError: the arm fell off"),
        (
            "exit",
            "a simulator process died with exit code 7 during .*task 'task_1', init state 2.*run the same command",
        ),
    ],
)
def test_a_simulator_that_fails_for_good_fails_the_stage(kind, words, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.write_text(kind)
    with pytest.raises(ValueError, match=words):
        run(trouble=trouble)


def test_an_answer_that_is_no_chunk_ends_the_episode_unsuccessful():
    policy = FakePolicy(mute="do task 2")
    outcomes = run(policy=policy)
    muted = [outcome for outcome in outcomes if outcome.task_index == 2 and outcome.init_state > 1]  # not done at once
    assert all(not outcome.success and outcome.policy_failures == 1 for outcome in muted)
    assert all(len(outcome.actions) == policy.chunk for outcome in muted)  # the first chunk was executed
    assert all(outcome.policy_failures == 0 for outcome in outcomes if outcome.task_index != 2)


def test_episodes_end_at_success_or_at_the_budget(reference):
    for _, success, actions, _ in reference:
        steps = np.frombuffer(actions).reshape(-1, 7)
        assert len(steps) <= MAX_STEPS
        assert success or len(steps) == MAX_STEPS


def test_the_policy_sees_one_frame_first_and_then_the_last_two():
    lane = Lane(FakeSimulator)
    episode = Episode(TASKS[0], 3, np.array([100.0]))
    assert lane.execute(Call(episode, num_frames=1)).frames.shape == (1, 16, 16, 3)
    actions = np.cumsum(np.ones((5, 7)), axis=0)
    reply = lane.execute(Call(episode, actions=actions, num_frames=2))
    assert reply.num_steps == 5
    assert reply.frames[:, 0, 0, 0].tolist() == [100, 150]  # after the sums 1+2+3+4 and 1+2+3+4+5
    policy = FakePolicy()
    with LanePool(FakeSimulator, 2, 1) as pool:
        some = [Episode(task, 0, np.array([100.0])) for task in TASKS[:2]]
        run_rollouts(policy, some, pool, history=2, max_steps=12)
    assert policy.batches == [[1, 1], [2, 2], [2, 2]]


def test_with_single_actions_the_history_reaches_into_the_chunk_before():
    class OneByOne(FakePolicy):
        chunk = 1

    policy = OneByOne()
    with LanePool(FakeSimulator, 1, 1) as pool:
        run_rollouts(policy, [Episode(TASKS[0], 0, np.array([100.0]))], pool, history=3, max_steps=6)
    assert policy.batches == [[1], [2], [3], [3], [3], [3]]


def test_a_lane_elsewhere_repeats_the_actions_before(tmp_path):
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (12, 7))
    here, elsewhere = (Episode(TASKS[0], number, np.array([100.0])) for number in (0, 1))
    straight = Lane(FakeSimulator)
    straight.execute(Call(here, actions=actions[:8]))
    wandering = Lane(FakeSimulator)
    wandering.execute(Call(elsewhere, actions=actions[:8]))
    replies = [lane.execute(Call(here, actions[:8], actions[8:], num_frames=2)) for lane in (straight, wandering)]
    np.testing.assert_array_equal(replies[0].frames, replies[1].frames)


def test_outputs_have_the_same_bytes_every_time(tmp_path):
    digests = []
    for attempt in ("first", "second"):
        folder = tmp_path / attempt
        folder.mkdir()
        with LanePool(FakeSimulator, 2, 2) as pool:
            outcomes, _ = run_rollouts(FakePolicy(), episodes(2), pool, history=2, max_steps=MAX_STEPS)
            videos = record_videos(pool, outcomes, 2, folder)
        write_outcomes(folder / "episodes.parquet", outcomes)
        digests.append({path.name: file_digest(path) for path in folder.iterdir()})
        filmed = [outcome for outcome in outcomes if outcome.init_state < 2]
        assert [path.stem.split("-", 1)[1] for path in videos] == [
            f"task{one.task_index}-init{one.init_state}" for one in filmed
        ]
        assert [path.name.startswith("success") for path in videos] == [one.success for one in filmed]
        assert len(read_video(videos[0])) == 1 + len(filmed[0].actions)
    assert digests[0] == digests[1]
    assert re.search(r"/6 .* to .*%  all tasks", describe(outcomes))


def test_a_video_shows_its_frames(tmp_path):
    frames = np.stack([np.full((64, 64, 3), shade, np.uint8) for shade in (0, 128, 255)])
    write_video(tmp_path / "a.mp4", frames)
    assert abs(read_video(tmp_path / "a.mp4").astype(int) - frames).max() < 8


class SeeingPolicy(FakePolicy):
    def encode(self, frames):
        return np.stack([np.frombuffer(hashlib.sha256(frame.tobytes()).digest(), np.uint16) for frame in frames])


@pytest.mark.slow
def test_lanes_of_one_worker_act_and_see_as_lanes_of_two():
    some = [Episode(task, 7, libero.init_states(task)[7]) for task in tasks("mini", "goal")[:3]]
    results = []
    for num_workers in (1, 2):
        policy = SeeingPolicy(
            mute=some[0].task.language
        )  # a lane goes on to another task while the other is in its own
        with LanePool(functools.partial(libero.Environment, pixels=32, seed=0), 2, num_workers) as pool:
            results.append(outcome_rows(run_rollouts(policy, some, pool, history=2, max_steps=12)[0]))
    assert results[0] == results[1]


@pytest.mark.slow
def test_an_environment_sees_the_same_after_another_one_is_closed():
    task = tasks("mini", "goal")[0]
    state = libero.init_states(task)[0]
    first, second = (libero.Environment(task, pixels=32, seed=0) for _ in range(2))
    with second:
        first.reset(state)
        second.reset(state)
        before = second.frame()
        first.close()
        np.testing.assert_array_equal(second.frame(), before)
