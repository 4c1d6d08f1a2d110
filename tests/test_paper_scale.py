"""The paper's sizes resolve, are the paper's, and the page that says what they cost is up to date."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import paper_scale
from worldvla.costs import runs as counting
from worldvla.costs.stages import trained
from worldvla.model.size import Size
from worldvla.params import strict
from worldvla.params.tokenizer import CHAMELEON, TokenizerParams
from worldvla.tokenizers.vqgan import VQGANConfig
from worldvla.tokenizers.vqgan_training import config

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def runs():
    return trained(paper_scale.experiment("paper"))


def test_every_run_of_every_table_resolves_with_the_paper_s_settings(runs):
    assert {run.suite for run in runs} == {"spatial", "object", "goal", "long"}
    for run in runs:
        params = run.train
        assert (params.vocabulary, params.learning_rate, params.batch, params.clip) == ("chameleon", 5e-6, 32, 4.0)
    table2 = {run.pixels for run in runs if run.train.episodes == "all"}
    assert table2 == {256, 512}
    default = {run.suite: run.train for run in runs if run.name == "action_world_chunk_mask"}
    assert {suite: params.chunk for suite, params in default.items()} == {
        "spatial": 5,
        "object": 5,
        "goal": 5,
        "long": 10,
    }
    assert all((params.history, params.rounds, params.alpha) == (2, 1, 0.04) for params in default.values())


def test_the_model_is_chameleon_7b_and_the_tokenizer_the_published_one(runs):
    assert (
        round(Size.of(runs[0].config).total / 1e9, 3) == 7.013
    )  # transformers' has 7.014, for its norms are of every head
    assert runs[0].config == counting.SEVEN_B
    assert VQGANConfig(**CHAMELEON) == VQGANConfig()  # what params know of it
    sizes = strict.read_yaml(REPOSITORY / "conf/paper.yaml")["tokenizer"]
    assert (
        config(strict.build(TokenizerParams, sizes | {"pixels": 256, "seed": 0, "digests": {}}, "tokenizer"))
        == VQGANConfig()
    )


def test_every_suite_is_trained_for_the_release_s_epochs(runs):
    steps = {}
    for run in runs:
        if run.train.episodes == "all":
            steps[run.suite] = run.train.num_steps(round(counting.samples_per_epoch("action", run)))
        assert run.train.epochs == paper_scale.EPOCHS
        assert run.train.decay_start == 1.0  # a constant rate
    assert steps == pytest.approx({"spatial": 64_052, "object": 81_460, "goal": 62_910, "long": 122_573}, rel=1e-3)


def test_samples_are_as_long_as_the_release_s(runs):
    """The lengths for about 20 tokens of text that were computed from the released code."""
    by_suite = {run.suite: run for run in runs if run.name == "action_world_chunk_mask"}
    lengths = {
        (kind, suite, pixels): counting.counts(kind, replace(by_suite[suite], pixels=pixels))[0]
        for kind, suite in (("action", "goal"), ("action", "long"), ("world", "goal"))
        for pixels in (256, 512)
    }
    assert lengths == {
        ("action", "goal", 256): 620,
        ("action", "goal", 512): 2188,
        ("action", "long", 256): 665,
        ("action", "long", 512): 2233,
        ("world", "goal", 256): 584,
        ("world", "goal", 512): 2152,
    }


def test_flops_follow_from_parameters_tokens_and_attention():
    model = Size(body=10, head=3, total=16, width=2, layers=5)
    assert model.forward(tokens=7, answered=4) == 2 * (10 * 7 + 3 * 4) + 5 * (2 * 7 * 7 * 2 + 2 * 7 * 7 * 2)
    assert model.training(7, 4) == 3 * model.forward(7, 4)
    assert model.cache(3) == 3 * 5 * 2 * 2 * 2  # tokens, layers, width, keys and values, bytes


def test_the_page_holds_what_the_script_prints():
    page = (REPOSITORY / "docs/paper_scale.md").read_text()
    assert page.endswith(paper_scale.report() + "\n"), "paste the output of: python -m benchmarks.paper_scale"


@pytest.mark.parametrize("scale", ["libero", "single", "paper"])
def test_the_first_page_has_the_hours_of_the_ladder(scale):
    def hours(path: str) -> list[float]:
        """Return the hours of table 3 and of all, as a page's table says them."""
        lines = (REPOSITORY / path).read_text(encoding="utf-8").splitlines()
        (line,) = (line for line in lines if line.startswith(f"| `{scale}`") and line.count("|") > 4)
        numbers = [cell.replace(",", "") for cell in line.strip("| ").split(" | ")[-3:]]
        return [float(cell) for cell in (numbers[1:] if path == "README.md" else numbers[:2])]

    assert hours("README.md") == pytest.approx(hours("docs/paper_scale.md"), rel=0.02)
