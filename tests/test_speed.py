"""Queries are asked in turns, and what the rounds say of their speed."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from toy_policy import CHUNK, TASKS, write_project

from pipeline import speed, timed
from worldvla.data.shards import TokenizedEpisode, write_shards
from worldvla.metrics import rounds, turns
from worldvla.metrics.rounds import per_query, times_as_fast
from worldvla.metrics.turns import WARM_UP, in_turns


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until something takes its time."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(turns.time, "perf_counter", lambda: now.seconds)
    return now


def test_each_round_asks_each_once_and_another_one_first(clock):
    asked = []

    def query(name, seconds):
        def ask():
            asked.append(name)
            clock.seconds += seconds

        return ask

    found = in_turns({"a": query("a", 1.0), "b": query("b", 2.0), "c": query("c", 4.0)}, 4)
    in_rounds = ["".join(asked[start : start + 3]) for start in range(0, len(asked), 3)]
    assert in_rounds == (["abc", "bca", "cab"] * 3)[: WARM_UP + 4]
    assert found == {"a": [1.0] * 4, "b": [2.0] * 4, "c": [4.0] * 4}


def test_the_rounds_of_the_warm_up_are_not_counted(clock):
    def ask():
        clock.seconds = 2 * clock.seconds + 1

    assert in_turns({"a": ask}, 2)["a"] == [2.0**WARM_UP, 2.0 ** (WARM_UP + 1)]


def seconds_of(num_rounds, seed, slow=0.0):
    """Return the seconds of a query of about 0.1 s and of one of 0.2 s on a machine that slows and recovers, by round."""
    random = np.random.default_rng(seed)
    machine = np.zeros(num_rounds)
    for number in range(1, num_rounds):
        machine[number] = 0.8 * machine[number - 1] + slow * random.normal()
    noise = np.exp(machine + 0.05 * random.normal(size=(2, num_rounds)))
    return 0.1 * noise[0], 0.2 * noise[1]


def test_the_value_is_the_amount_over_the_median():
    assert per_query([0.1, 0.2, 0.9], 5, seed=0).value == pytest.approx(25)
    assert times_as_fast([0.1, 0.2, 0.9], [0.4, 0.4, 0.4], seed=0).value == pytest.approx(2)


def test_a_seed_gives_one_interval_and_another_seed_another():
    one, _ = seconds_of(50, 0)
    assert per_query(one, 1, seed=7) == per_query(one, 1, seed=7)
    assert per_query(one, 1, seed=7) != per_query(one, 1, seed=8)


def test_about_95_in_100_intervals_hold_the_truth(monkeypatch):
    monkeypatch.setattr(rounds, "RESAMPLES", 500)
    found = [(per_query(one, 1, 0), times_as_fast(one, two, 0)) for one, two in (seconds_of(50, n) for n in range(400))]
    for number, truth in enumerate((10, 2)):
        assert 0.9 < np.mean([pair[number].low < truth < pair[number].high for pair in found]) < 0.99


def test_what_slows_the_machine_slows_both_and_leaves_the_ratio_alone():
    one, two = seconds_of(50, 1, slow=0.2)
    alone, ratio = per_query(one, 1, 0), times_as_fast(one, two, 0)
    assert (ratio.high - ratio.low) / ratio.value < 0.5 * (alone.high - alone.low) / alone.value
    assert ratio.low < 2 < ratio.high


def test_neighbours_that_are_slow_together_widen_the_interval():
    slow = np.repeat([0.1, 0.2, 0.1, 0.2, 0.1], 10) + np.linspace(0, 0.01, 50)
    mixed = np.random.default_rng(0).permutation(slow)
    widths = [found.high - found.low for found in (per_query(one, 1, 0) for one in (slow.tolist(), mixed.tolist()))]
    assert widths[0] > widths[1]


def test_a_ratio_of_other_rounds_is_refused():
    with pytest.raises(ValueError, match=r"^a ratio needs the same rounds; got 2 of one query and 3 of the other$"):
        times_as_fast([0.1, 0.2], [0.1, 0.2, 0.3], seed=0)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a folder with three named policies of two lengths of chunks, and note which are asked while which are loaded."""
    monkeypatch.chdir(tmp_path)
    events = []

    class Policy:
        def __init__(self, name):
            self.name, self.history, self.chunk = name, 2, int(name[-1])

        @classmethod
        def load(cls, model, tokenizer, graphs):
            events.append(f"load {model.name}")
            return cls(model.name)

        def encode(self, frames):
            return np.zeros((len(frames), 4), np.uint16)

        def act(self, languages, histories):
            assert [len(one) for one in histories] == [2]
            events.append(self.name)

    episode = SimpleNamespace(codes=np.zeros((9, 4), np.uint16), language="push")
    images = SimpleNamespace(
        load=lambda _: SimpleNamespace(decode=lambda codes: np.zeros((len(codes), 8, 8, 3), np.uint8))
    )
    monkeypatch.setattr(speed, "ChameleonPolicy", Policy)
    monkeypatch.setattr(
        speed, "ModelSettings", SimpleNamespace(load=lambda model: SimpleNamespace(chunk=int(model.name[-1])))
    )
    monkeypatch.setattr(speed, "read_shards", lambda _: [episode])
    monkeypatch.setattr(speed, "ImageTokenizer", images)
    for name in ("a_1", "b_1", "c_5"):
        model = tmp_path / "models" / name
        model.mkdir(parents=True)
        (model / "weights").write_text(name)
        timed.main(model=model, out=tmp_path / "timed" / f"{name}.json")
    (tmp_path / "goal.yaml").write_text("speed: {policies: [a_1, c_5, b_1], num_queries: 2, graphs: false}\n")
    return SimpleNamespace(folder=tmp_path, events=events)


def run_stage(project):
    paths = {name: project.folder / name for name in ("timed", "tokenizer", "shards")}
    speed.main(params=project.folder / "goal.yaml", out=project.folder / "goal.json", **paths)
    return json.loads((project.folder / "goal.json").read_text())


def test_policies_with_the_same_chunks_are_asked_in_the_same_rounds(project):
    record = run_stage(project)
    counted = WARM_UP + 2
    pairs = [["a_1", "b_1"], ["b_1", "a_1"]] * counted
    first = [name for pair in pairs[:counted] for name in pair]
    assert project.events == ["load a_1", "load b_1", *first, "load c_5", *["c_5"] * counted]
    assert {name: (found["chunk"], len(found["query_ms"])) for name, found in record["policies"].items()} == {
        "a_1": (1, 2),
        "c_5": (5, 2),
        "b_1": (1, 2),
    }
    assert {"hardware", "commit", "date"} <= set(record)


def test_a_model_of_other_bytes_than_named_is_refused(project):
    (project.folder / "models" / "b_1" / "weights").write_text("others")
    with pytest.raises(
        ValueError, match=r"b_1: not the model that .*b_1\.json names by its sha256\. Run: \./run reproduce$"
    ):
        run_stage(project)


def test_the_stage_says_what_it_measured(project, capsys):
    run_stage(project)
    assert re.search(
        r"actions/s of 2 rounds: a_1 [0-9.e+]+, c_5 [0-9.e+]+, b_1 [0-9.e+]+\. Next: dvc repro report$",
        capsys.readouterr().out.strip(),
    )


def test_trained_models_are_timed_on_an_episode(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = write_project(tmp_path)
    codes = np.zeros((9, 4), np.uint16)
    write_shards(tmp_path / "shards/train", [TokenizedEpisode("open", "0", TASKS[0], codes, np.zeros((9, 7)))], 1)
    for name in ("one", "two"):
        timed.main(model=model.relative_to(tmp_path), out=tmp_path / "timed" / f"{name}.json")
    (tmp_path / "goal.yaml").write_text("speed: {policies: [one, two], num_queries: 3, graphs: false}\n")
    paths = {"params": tmp_path / "goal.yaml", "timed": tmp_path / "timed", "shards": tmp_path / "shards"}
    speed.main(**paths, tokenizer=tmp_path / "data/tokenizer/goal-main", out=tmp_path / "goal.json")
    for found in json.loads((tmp_path / "goal.json").read_text())["policies"].values():
        assert found["actions_per_s"] == pytest.approx(1000 * CHUNK / np.median(found["query_ms"]), abs=0.1, rel=1e-3)
