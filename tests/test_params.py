"""The messages of ``strict`` and the ranges of the params."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from worldvla.params import strict
from worldvla.params.benchmarks import max_steps
from worldvla.params.generate import GenerateParams
from worldvla.params.ranges import at_least, check
from worldvla.params.rollout import RolloutParams
from worldvla.params.tokenizer import TokenizerParams
from worldvla.params.train import TrainParams
from worldvla.params.video_metrics import VideoMetricsParams

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Inner:
    mask: Literal["causal", "action"]


@dataclass(frozen=True)
class ToyParams:
    steps: int
    rate: float
    fast: bool
    name: str
    folder: str | None
    chunk: int | None
    widths: tuple[int, ...]
    variants: dict[str, Inner]

    def __post_init__(self) -> None:
        check(self, steps=at_least(1), rate=at_least(0), chunk=at_least(1), widths=at_least(1))


GOOD = {
    "steps": 5,
    "rate": 1,
    "fast": True,
    "name": "toy",
    "folder": None,
    "chunk": None,
    "widths": [1, 2],
    "variants": {"action": {"mask": "causal"}},
}


def faults(**changes: object) -> str:
    """Return the message for the good values with changes; a change to ``...`` removes the key."""
    values = {key: value for key, value in (GOOD | changes).items() if value is not ...}
    with pytest.raises(ValueError, match=r"^conf/mini.yaml: ") as caught:
        strict.build(ToyParams, values, "conf/mini.yaml: toy")
    return str(caught.value)


def test_good_values_are_built_with_their_types():
    params = strict.build(ToyParams, GOOD, "conf/mini.yaml: toy")
    assert params.variants == {"action": Inner("causal")}
    assert params.widths == (1, 2)
    assert isinstance(params.rate, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": 5}, "conf/mini.yaml: unknown key 'toy.step'; did you mean 'steps'?"),
        (
            {"qqq": 5},
            "conf/mini.yaml: unknown key 'toy.qqq'; known: steps, rate, fast, name, folder, chunk, widths, variants",
        ),
        ({"steps": ...}, "conf/mini.yaml: the key 'toy.steps' is missing; expected a whole number"),
        ({"chunk": ...}, "conf/mini.yaml: the key 'toy.chunk' is missing; expected a whole number or null"),
        ({"steps": True}, "conf/mini.yaml: toy.steps is true; expected a whole number"),
        ({"steps": 2.5}, "conf/mini.yaml: toy.steps is 2.5; expected a whole number"),
        ({"steps": "many"}, "conf/mini.yaml: toy.steps is the text 'many'; expected a whole number"),
        ({"steps": None}, "conf/mini.yaml: toy.steps is empty (null); expected a whole number"),
        ({"rate": float("nan")}, "conf/mini.yaml: toy.rate is nan; expected a finite number"),
        ({"rate": False}, "conf/mini.yaml: toy.rate is false; expected a finite number"),
        ({"fast": 1}, "conf/mini.yaml: toy.fast is 1; expected true or false"),
        ({"name": 1}, "conf/mini.yaml: toy.name is 1; expected text"),
        ({"chunk": "5"}, "conf/mini.yaml: toy.chunk is the text '5'; expected a whole number or null"),
        ({"widths": 3}, "conf/mini.yaml: toy.widths is 3; expected a list, each entry a whole number"),
        ({"widths": [1, "b"]}, "conf/mini.yaml: toy.widths[1] is the text 'b'; expected a whole number"),
        (
            {"variants": {"action": {"mask": "actoin"}}},
            "conf/mini.yaml: toy.variants.action.mask is 'actoin'; did you mean 'action'?",
        ),
        (
            {"variants": {"action": {"mask": 3}}},
            "conf/mini.yaml: toy.variants.action.mask is 3; expected one of causal, action",
        ),
        (
            {"variants": {"action": None}},
            "conf/mini.yaml: toy.variants.action is empty (null); expected 'key: value' lines",
        ),
        ({"steps": 0}, "conf/mini.yaml: toy.steps is 0; expected at least 1"),
        ({"chunk": 0}, "conf/mini.yaml: toy.chunk is 0; expected at least 1"),
        ({"widths": [2, 0]}, "conf/mini.yaml: toy.widths is (2, 0); expected at least 1"),
    ],
)
def test_a_fault_is_one_clear_sentence(changes, message):
    assert faults(**changes) == message


def test_all_faults_are_reported_one_per_line():
    assert faults(step=5, steps=..., rate="x").splitlines() == [
        "conf/mini.yaml: unknown key 'toy.step'; did you mean 'steps'?",
        "conf/mini.yaml: the key 'toy.steps' is missing; expected a whole number",
        "conf/mini.yaml: toy.rate is the text 'x'; expected a finite number",
    ]
    assert len(faults(steps=0, rate=-1).splitlines()) == 2


def test_the_top_level_of_a_file_is_named_without_a_section():
    with pytest.raises(ValueError, match=r"^params.yaml: mask is 'x'; known: causal, action$"):
        strict.build(Inner, {"mask": "x"}, "params.yaml:")
    with pytest.raises(ValueError, match=r"^params.yaml: unknown key 'maks'; did you mean 'mask'\?$"):
        strict.build(Inner, {"maks": "causal", "mask": "causal"}, "params.yaml:")


def test_read_takes_the_section_named_by_the_class(tmp_path):
    path = tmp_path / "goal.yaml"
    path.write_text("rollout: {}\n")
    with pytest.raises(ValueError, match=r"goal.yaml: no section 'toy'; known: rollout. Run: dvc repro resolve$"):
        strict.read(ToyParams, path)
    with pytest.raises(ValueError, match=r"none.yaml: no such file. Run: dvc repro resolve$"):
        strict.read(ToyParams, tmp_path / "none.yaml")
    path.write_text("toy: {steps: 3, rate: 1e-5, fast: no, name: a, folder: b, chunk: 2, widths: [], variants: {}}\n")
    assert strict.read(ToyParams, path) == ToyParams(3, 1e-5, False, "a", "b", 2, (), {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "line 2 is not valid YAML: the key 'a' stands twice"),
        ("a: [1\n", "line 2 is not valid YAML: "),
        ("? [a, b]\n: 1\n", "line 1 is not valid YAML: a key is a list or a mapping"),
        ("a: " + "[" * 3000 + "]" * 3000, "lists or mappings hundreds of levels deep; expected 'key: value' lines"),
        ("- 1\n", r"holds \[1\]; expected 'key: value' lines"),
        ("", r"holds empty \(null\); expected 'key: value' lines"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="params.yaml: " + message):
        strict.read_yaml(path)


@pytest.mark.parametrize(("text", "value"), [("2e-3", 2e-3), ("1e5", 1e5), ("-1.5", -1.5), ("5", 5), ("1.", 1.0)])
def test_numbers_are_read_as_a_person_writes_them(tmp_path, text, value):
    path = tmp_path / "params.yaml"
    path.write_text(f"a: {text}\n")
    read = strict.read_yaml(path)["a"]
    assert read == value
    assert type(read) is type(value)


def scale_section(section: str) -> dict[str, Any]:
    """Return a section of the sizes of the default scale."""
    return strict.read_yaml(REPOSITORY / "conf" / "mini.yaml")[section]


def train_params(**changes: object) -> TrainParams:
    """Return the default scale's train params with changes."""
    given = {"vocabulary": "compact", "samples": ("action",), "prompt": "release", "alpha_on": "release"}
    given |= {"scene_prefix": False}
    given |= {"chunk": 5, "history": 2, "rounds": 1, "mask": "action", "episodes": "train", "times": 1}
    return TrainParams(**{**scale_section("train"), **given, "seed": 0, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 3}, "hidden_size is 128; expected a positive multiple of 6"),
        ({"num_heads": 0}, "num_heads is 0; expected at least 1"),
        ({"warmup_steps": 10**6}, "warmup_steps is 1000000; expected 0 to "),
        ({"decay_start": 1.5}, "decay_start is 1.5; expected 0 to 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; expected a number above 0"),
        ({"chunk": 0}, "chunk is 0; expected at least 1"),
    ],
)
def test_train_params_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        train_params(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": 100}, "pixels is 100; expected a positive multiple of 16"),
        ({"channel_multiplier": (1, 2)}, "channel_multiplier has 2 levels; expected 3, which compress by 16"),
        ({"vocabulary": "chameleon", "num_codes": 512}, "num_codes is 512; the chameleon vocabulary has 8192"),
        (
            {"vocabulary": "chameleon", "num_codes": 8192},
            "text_file is null; the chameleon vocabulary needs the published text tokenizer: make it published, or name",
        ),
        (
            {"weights": "published", "num_codes": 8192},
            "code_dim is 16; the published weights have 256: use it, or make weights null",
        ),
        ({"norm_groups": 7}, "base_channels is 32; expected a positive multiple of 7"),
    ],
)
def test_tokenizer_params_are_checked(changes, message):
    sizes = scale_section("tokenizer")
    widths = {"base_channels": 32, "channel_multiplier": tuple(sizes["channel_multiplier"])}
    values = sizes | widths | {"pixels": 96, "seed": 0, "digests": {}}
    with pytest.raises(ValueError, match=message):
        TokenizerParams(**(values | changes))


def test_a_chunk_longer_than_an_episode_is_refused():
    params = RolloutParams(
        benchmark="mini",
        suite="goal",
        tasks=(0, 1),
        looks="simple",
        chunk=5,
        history=2,
        mask="causal",
        no_bin="fail",
        pixels=96,
        init_states_per_task=2,
        environments=2,
        graphs=False,
        max_steps=75,
        films_per_task=0,
        seed=0,
    )
    with pytest.raises(ValueError, match="chunk is 76; expected 1 to 75"):
        dataclasses.replace(params, chunk=76)
    with pytest.raises(ValueError, match="init_states_per_task is 51; expected 1 to 50"):
        dataclasses.replace(params, init_states_per_task=51)


def test_a_model_of_two_kinds_of_samples_takes_twice_the_steps():
    one, two = train_params(), train_params(samples=("action", "world"))
    assert one.steps is not None
    assert (one.num_steps(99), two.num_steps(99)) == (one.steps, 2 * one.steps)


def test_horizons_are_checked():
    values = {"i3d_weights": None, "i3d_pixels": 64, "lpips_vgg": None, "lpips_alex": None, "num_films": 1}
    values |= {"seed": 0, "digests": {}}
    for horizons, message in (
        ((8, 20), r"horizons is \(8, 20\); expected at least 9"),
        ((), r"horizons is \[\]; expected at least one length in frames, each once"),
        ((10, 10), r"horizons is \[10, 10\]; expected at least one length in frames, each once"),
    ):
        with pytest.raises(ValueError, match=message):
            GenerateParams(split="val_ind", horizons=horizons, batch=1, reencode=False, seed=0)
    with pytest.raises(ValueError, match="i3d_pixels is 16; expected at least 32"):
        VideoMetricsParams(models=("world",), horizons=(10,), **{**values, "i3d_pixels": 16})


def test_a_section_is_called_as_its_stage(tmp_path):
    path = tmp_path / "resolved.yaml"
    path.write_text("videometrics: {}")
    with pytest.raises(ValueError, match="no section 'video_metrics'; did you mean 'videometrics'"):
        strict.read(VideoMetricsParams, path)


def test_step_limits_are_the_released_ones():
    assert [max_steps("libero", suite) for suite in ("spatial", "object", "goal", "long")] == [220, 280, 300, 520]
    with pytest.raises(ValueError, match="suite 'gaol' is not in the benchmark 'libero'; it has: spatial, object"):
        max_steps("libero", "gaol")
    with pytest.raises(ValueError, match="benchmark is 'x'; known: mini, libero"):
        max_steps("x", "goal")
