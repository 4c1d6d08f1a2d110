"""Episodes of a policy: their outcomes and films, whoever runs them, after failures and interruptions."""

import functools
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from worldvla.simulation import libero
from worldvla.simulation.lanes import Call, Episode, Lane, LanePool
from worldvla.simulation.milestones import Milestones
from worldvla.simulation.outcomes import Outcome
from worldvla.simulation.rollout import run_episodes
from worldvla.simulation.tasks import Task, tasks
from worldvla.simulation.videos import VIDEO_PIXELS, read_video, write_video

TASKS = [
    Task("mini", "goal", index, f"task_{index}", f"do task {index}", Path(f"task_{index}.bddl")) for index in range(3)
]
MAX_STEPS = 23


class FakeSimulator:
    """A sum of the actions; the task is accomplished where it exceeds what the initial state asks."""

    def __init__(self, task: Task, trouble: Path | None = None, **looks: object):
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

    def milestones(self) -> Milestones:
        return Milestones(1, int(self.steps > 0), int(self.steps > 10), 0)

    def close(self) -> None:
        del self.sum


class FakePolicy:
    """Its actions depend on the frames, the instruction and, on purpose, on the company in the batch."""

    chunk, history, on_gpu = 5, 2, False

    def __init__(self, interrupt_at: int = -1, mute: str = ""):
        self.interrupt_at, self.mute = interrupt_at, mute
        self.batches: list[list[int]] = []  # history lengths of each query
        self.chunks: list[bytes | None] = []  # all answers

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
        self.chunks += [None if chunk is None else chunk.tobytes() for chunk in chunks]
        return chunks


def episodes(num_init_states: int = 4) -> list[Episode]:
    return [Episode(task, number, np.array([number + 0.2])) for task in TASKS for number in range(num_init_states)]


def rows(outcomes: list[Outcome]) -> list[tuple]:
    return [
        (
            str(outcome.episode),
            outcome.success,
            outcome.num_steps,
            outcome.policy_failures,
            outcome.milestones,
            None if outcome.film is None else outcome.film.tobytes(),
        )
        for outcome in outcomes
    ]


def run(
    num_processes: int = 1, policy: FakePolicy | None = None, trouble: Path | None = None, films: int = 0
) -> list[Outcome]:
    make = functools.partial(FakeSimulator, trouble=trouble)
    policy = policy or FakePolicy()
    with LanePool(make, num_processes) as pool:
        return run_episodes(policy, episodes(), pool, history=2, max_steps=MAX_STEPS, films_per_task=films)


def transcript(**options) -> tuple[list[tuple], list[bytes | None]]:
    """Return the outcomes of a run, and all that the policy answered, which depends on all that it saw."""
    policy = FakePolicy()
    return rows(run(policy=policy, **options)), policy.chunks


@pytest.fixture(scope="module")
def reference() -> tuple[list[tuple], list[bytes | None]]:
    return transcript(films=2)


@pytest.mark.parametrize("num_processes", [0, 3])
def test_results_do_not_depend_on_the_number_of_processes(reference, num_processes):
    assert transcript(num_processes=num_processes, films=2) == reference
    assert len({success for _, success, *_ in reference[0]}) == 2  # both happen


@pytest.mark.parametrize("num_processes", [0, 1])
def test_a_simulator_that_raises_once_changes_nothing(reference, tmp_path, num_processes):
    trouble = tmp_path / "trouble"
    trouble.write_text("once")
    assert transcript(num_processes=num_processes, trouble=trouble, films=2) == reference
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
def test_a_simulator_that_fails_for_good_is_named_with_its_episode(kind, words, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.write_text(kind)
    with pytest.raises(RuntimeError, match=words):
        run(trouble=trouble)


def test_a_simulator_in_the_same_process_that_fails_for_good_is_named_too(tmp_path):
    trouble = tmp_path / "trouble"
    trouble.write_text("always")
    with pytest.raises(
        RuntimeError, match="task 'task_1', init state 2: the simulator failed twice: RuntimeError: the"
    ):
        run(num_processes=0, trouble=trouble)


def test_an_answer_that_is_no_chunk_ends_the_episode_unsuccessful():
    policy = FakePolicy(mute="do task 2")
    outcomes = run(policy=policy)
    muted = [
        outcome for outcome in outcomes if outcome.episode.task.index == 2 and outcome.episode.init_state > 1
    ]  # not done at once
    assert muted
    assert all(not outcome.success and outcome.policy_failures == 1 for outcome in muted)
    assert all(outcome.num_steps == policy.chunk for outcome in muted)  # the first chunk was executed
    assert all(outcome.policy_failures == 0 for outcome in outcomes if outcome.episode.task.index != 2)


def test_episodes_end_at_success_or_at_the_budget(reference):
    for _, success, num_steps, *_ in reference[0]:
        assert num_steps <= MAX_STEPS
        assert success or num_steps == MAX_STEPS


def test_every_episode_is_told_of_once_when_it_has_ended():
    told = []
    with LanePool(FakeSimulator, 0) as pool:
        run_episodes(FakePolicy(), episodes(), pool, history=2, max_steps=MAX_STEPS, advance=told.append)
    assert sum(told) == len(episodes())
    assert 0 in told, "a round in which no episode ends"


def test_the_policy_sees_one_frame_first_and_then_the_last_two():
    lane = Lane(FakeSimulator)
    episode = Episode(TASKS[0], 3, np.array([100.0]))
    assert lane.execute(Call(episode, num_frames=1)).frames.shape == (1, 16, 16, 3)
    actions = np.cumsum(np.ones((5, 7)), axis=0)
    reply = lane.execute(Call(episode, actions=actions, num_frames=2))
    assert reply.num_steps == 5
    assert reply.frames[:, 0, 0, 0].tolist() == [100, 150]  # after the sums 1+2+3+4 and 1+2+3+4+5
    policy = FakePolicy()
    with LanePool(FakeSimulator, 1) as pool:
        some = [Episode(task, 0, np.array([100.0])) for task in TASKS[:2]]
        run_episodes(policy, some, pool, history=2, max_steps=12)
    assert policy.batches == [[1, 1], [2, 2], [2, 2]]


def test_with_single_actions_the_history_reaches_into_the_chunk_before():
    class OneByOne(FakePolicy):
        chunk = 1

    policy = OneByOne()
    with LanePool(FakeSimulator, 1) as pool:
        run_episodes(policy, [Episode(TASKS[0], 0, np.array([100.0]))], pool, history=3, max_steps=6)
    assert policy.batches == [[1], [2], [3], [3], [3], [3]]


def test_a_lane_elsewhere_repeats_the_actions_before():
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (12, 7))
    here, elsewhere = (Episode(TASKS[0], number, np.array([100.0])) for number in (0, 1))
    straight = Lane(FakeSimulator)
    straight.execute(Call(here, actions=actions[:8]))
    wandering = Lane(FakeSimulator)
    wandering.execute(Call(elsewhere, actions=actions[:8]))
    call = Call(here, actions[:8], actions[8:], num_frames=2, film=True)
    replies = [lane.execute(call) for lane in (straight, wandering)]
    np.testing.assert_array_equal(replies[0].frames, replies[1].frames)
    np.testing.assert_array_equal(replies[0].film, replies[1].film)
    assert replies[0].film.shape == (4, VIDEO_PIXELS, VIDEO_PIXELS, 3)  # of the call's own actions alone


def test_a_film_shows_every_step_of_the_very_episode():
    filmed, bare = run(films=2), run()
    assert [one.film is not None for one in filmed] == [one.episode.init_state < 2 for one in filmed]
    assert [row[:4] for row in rows(filmed)] == [row[:4] for row in rows(bare)]
    assert all(one.film is None for one in bare)
    first = filmed[0]
    assert first.film is not None
    assert first.film.shape == (first.num_steps + 1, VIDEO_PIXELS, VIDEO_PIXELS, 3)
    simulator = FakeSimulator(first.episode.task)
    simulator.reset(first.episode.state)
    assert (first.film[0] == simulator.frame()[0, 0]).all()
    assert len(np.unique(first.film[:, 0, 0, 0])) > 2


def test_the_film_of_an_episode_without_an_answer_is_its_first_frame():
    class Speechless(FakePolicy):
        def act(self, languages, histories):
            return [None for _ in languages]

    outcomes = run(policy=Speechless(), films=1)
    assert {(one.success, one.num_steps, one.policy_failures) for one in outcomes} == {(False, 0, 1)}
    assert [len(one.film) for one in outcomes if one.film is not None] == [1] * len(TASKS)


def test_a_video_shows_its_frames(tmp_path):
    frames = np.stack([np.full((64, 64, 3), shade, np.uint8) for shade in (0, 128, 255)])
    write_video(tmp_path / "a.mp4", frames)
    assert abs(read_video(tmp_path / "a.mp4").astype(int) - frames).max() < 8


class SeeingPolicy(FakePolicy):
    def encode(self, frames):
        return np.stack([np.frombuffer(hashlib.sha256(frame.tobytes()).digest(), np.uint16) for frame in frames])


@pytest.mark.slow
def test_lanes_of_one_process_act_and_see_as_lanes_of_two_and_of_their_own_filmed_or_not():
    some = [Episode(task, 7, libero.init_states(task)[7]) for task in tasks("mini", "goal")[:3]]
    results = []
    for num_processes, films in ((1, 0), (2, 0), (0, 0), (1, 50)):
        policy = SeeingPolicy(mute=some[0].task.language)  # a lane ends while the others go on
        make = functools.partial(libero.Environment, pixels=32, seed=0)
        with LanePool(make, num_processes) as pool:
            outcomes = run_episodes(policy, some, pool, history=2, max_steps=12, films_per_task=films)
        results.append(([row[:4] for row in rows(outcomes)], policy.chunks))
        assert [one.film is not None for one in outcomes] == [films > 0] * 3
    assert all(result == results[0] for result in results)


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
