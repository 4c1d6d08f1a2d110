"""A policy that looks ahead: as the greedy one with a single candidate, a function of the query, true to its score."""

import numpy as np
import pytest
import torch
from toy_policy import CHUNK, HISTORY, IDS, NUM_CODES, TASKS, toy_model, write_project

from worldvla.masks import lanes, mask_of
from worldvla.model import sampling
from worldvla.model.lookahead import PlanningPolicy, Search
from worldvla.model.parts import Part
from worldvla.model.policy import ChameleonPolicy
from worldvla.model.world import WorldModel
from worldvla.sequences import action_prompt, action_sample

RANDOM = np.random.default_rng(3)
LANGUAGES = [TASKS[number % len(TASKS)] for number in range(5)]
# The first queries are those of a beginning: one frame.
HISTORIES = [RANDOM.integers(0, NUM_CODES, (min(1 + number, HISTORY), 4)).astype(np.uint16) for number in range(5)]
FOUR = Search(candidates=4, temperature=0.1, seed=0)
MASKS = pytest.mark.parametrize("mask", ["action", "causal"])


def model_of_bins(mask="action", samples=("action", "world")):
    """Return a model whose greedy answers are bins."""
    model = toy_model(mask, samples)
    with torch.no_grad():
        model.transformer.lm_head.weight[: IDS.first_bin] = 0
        model.transformer.lm_head.weight[IDS.first_code :] *= 0.001
    return model


def chunks_of(policy, languages=LANGUAGES, histories=HISTORIES):
    """Return a policy's answers [queries, K, 7], every one of them a chunk."""
    answers = [answer for answer in policy.act(languages, histories) if answer is not None]
    assert len(answers) == len(languages)
    return np.stack(answers)


def by_hand(model, mask, language, history, bins):
    """Return the mean log-probability per bin, from the logits of a full forward under the mask of the whole sample."""
    sample = action_sample(IDS, model.prompt("action", language), list(history), bins)
    tokens = torch.from_numpy(sample.tokens)[None]
    seen = mask_of(torch.from_numpy(lanes(mask, sample.layout))[None])
    with torch.no_grad():
        hidden = model.transformer(Part(tokens, seen)).view(tokens.shape[1], -1)
        found = (hidden @ model.transformer.lm_head.weight.T).double().log_softmax(dim=-1)
    start = sample.layout.predicted_start
    places = [start + 9 * action + 1 + joint for action in range(len(bins)) for joint in range(7)]
    return np.mean([found[place - 1, sample.tokens[place]].item() for place in places])


@MASKS
@pytest.mark.parametrize("no_bin", ["fail", "clamp"])
def test_with_one_candidate_it_is_the_greedy_policy(mask, no_bin):
    for model in (toy_model(mask), model_of_bins(mask)):
        expected = ChameleonPolicy(model, no_bin).act(LANGUAGES, HISTORIES)
        found = PlanningPolicy(model, no_bin, search=Search(1, 1.0, 0)).act(LANGUAGES, HISTORIES)
        assert [one is None for one in found] == [one is None for one in expected]
        for one, other in zip(found, expected, strict=True):
            assert (one is None or one.tolist()) == (other is None or other.tolist())


@MASKS
def test_without_any_temperature_all_candidates_are_the_greedy_one(mask):
    model = model_of_bins(mask)
    found = chunks_of(PlanningPolicy(model, search=Search(3, 1e-6, 0)))
    np.testing.assert_array_equal(found, chunks_of(ChameleonPolicy(model)))


@MASKS
def test_an_answer_depends_on_its_query_alone_and_is_the_same_every_time(mask):
    model = model_of_bins(mask)
    policy = PlanningPolicy(model, search=FOUR)
    together = chunks_of(policy)
    alone = [chunks_of(policy, [one], [history])[0] for one, history in zip(LANGUAGES, HISTORIES, strict=True)]
    backwards = chunks_of(PlanningPolicy(model, search=FOUR), LANGUAGES[::-1], HISTORIES[::-1])[::-1]
    for found in (np.stack(alone), backwards):
        np.testing.assert_array_equal(found, together)
    assert (together != chunks_of(ChameleonPolicy(model))).any(), "something must be drawn that is better"


@MASKS
def test_what_is_executed_has_the_highest_score_by_hand(mask):
    model = model_of_bins(mask)
    policy, world, greedy = PlanningPolicy(model, search=FOUR), WorldModel(model), ChameleonPolicy(model)
    found = chunks_of(policy)
    places = []
    for number, (language, history) in enumerate(zip(LANGUAGES, HISTORIES, strict=True)):
        (first,) = chunks_of(greedy, [language], [history])
        chunks = [model.actions.encode(first), *policy._drawn([language], [history])]
        assert len(chunks) == FOUR.candidates
        scores = []
        for bins in chunks:
            commands = model.actions.decode(bins)
            frames = [history[-1]]
            for command in commands:  # one frame per action, each behind the one before
                step = np.stack([command, command])[None]
                frames.append(world.predict(frames[-1][None], step)[0, 1])
            imagined = np.concatenate([history, frames[1:]])[-HISTORY:]
            (following,) = chunks_of(greedy, [language], [imagined])
            parts = (history, bins), (imagined, model.actions.encode(following))
            scores.append(np.mean([by_hand(model, mask, language, *part) for part in parts]))
        places.append(int(np.argmax(scores)))
        np.testing.assert_array_equal(found[number], model.actions.decode(chunks[places[-1]]))
    assert len(set(places)) > 1, "the greedy chunk must not always be the best for the comparison to mean anything"


@MASKS
def test_log_probabilities_are_those_of_a_full_forward(mask):
    model = model_of_bins(mask)
    chunks = RANDOM.integers(0, IDS.num_bins, (3, CHUNK, 7))
    samples = [action_sample(IDS, model.prompt("action", TASKS[0]), list(HISTORIES[2]), bins) for bins in chunks]
    found = sampling.log_probabilities(model.transformer, IDS, samples, mask)
    assert found.shape == (3, CHUNK, 7)
    expected = [by_hand(model, mask, TASKS[0], HISTORIES[2], bins) for bins in chunks]
    np.testing.assert_allclose(found.double().mean(dim=(1, 2)), expected, rtol=1e-5)


@MASKS
def test_what_is_drawn_has_the_distribution_of_the_model(mask):
    """Of the second bin of the second action, whose context the noise of all places before it fixes."""
    model, temperature, num = model_of_bins(mask), 0.5, 4000
    prompt = torch.from_numpy(action_prompt(IDS, model.prompt("action", TASKS[1]), list(HISTORIES[1])))
    random = np.random.default_rng(0)
    noise = np.repeat(random.gumbel(size=(1, 2, 7, IDS.num_bins)).astype(np.float32), num, axis=0)
    noise[:, 1, 1] = random.gumbel(size=(num, IDS.num_bins))
    drawn = sampling.draw(
        model.transformer, IDS, prompt.expand(num, -1), mask, torch.from_numpy(noise), temperature
    ).numpy()
    assert (drawn.reshape(num, 14)[:, :8] == drawn.reshape(num, 14)[0, :8]).all()
    bins = drawn[:, 1, 1] - IDS.first_bin
    assert ((bins >= 0) & (bins < IDS.num_bins)).all()
    sample = action_sample(IDS, model.prompt("action", TASKS[1]), list(HISTORIES[1]), drawn[0] - IDS.first_bin)
    seen = mask_of(torch.from_numpy(lanes(mask, sample.layout))[None])
    with torch.no_grad():
        hidden = model.transformer(Part(torch.from_numpy(sample.tokens)[None], seen))
        before = hidden[
            sample.layout.predicted_start + 9 + 1
        ]  # BOA and the first bin of the second action stand before it
        logits = before @ model.transformer.lm_head.weight[IDS.first_bin : IDS.first_bin + IDS.num_bins].T
    expected = (logits.double() / temperature).softmax(dim=-1).numpy()
    found = np.bincount(bins, minlength=IDS.num_bins) / num
    assert expected.max() > 0.05, "a flat distribution would prove little"
    np.testing.assert_allclose(found, expected, atol=4 * np.sqrt(expected.max() / num))


def test_chunks_differ_between_queries_and_seeds_and_more_candidates_keep_the_first():
    model = model_of_bins()
    first = PlanningPolicy(model, search=FOUR)._drawn(LANGUAGES[:2], HISTORIES[:2])
    other = PlanningPolicy(model, search=Search(4, 0.1, 1))._drawn(LANGUAGES[:1], HISTORIES[:1])
    more = PlanningPolicy(model, search=Search(6, 0.1, 0))._drawn(LANGUAGES[:1], HISTORIES[:1])
    assert len({bins.tobytes() for bins in first}) == 6
    assert not np.array_equal(first[0], other[0])
    np.testing.assert_array_equal(np.stack(more[:3]), np.stack(first[:3]))


def test_a_greedy_answer_that_is_none_is_none_whatever_could_be_drawn():
    model = toy_model()
    greedy = ChameleonPolicy(model).act(LANGUAGES, HISTORIES)
    found = PlanningPolicy(model, search=FOUR).act(LANGUAGES, HISTORIES)
    assert None in [None if one is None else "" for one in greedy]
    assert [one is None for one in found] == [one is None for one in greedy]


def test_a_future_without_an_answer_is_the_last_to_be_chosen(monkeypatch):
    model = model_of_bins()
    policy = PlanningPolicy(model, search=FOUR)
    (best,) = chunks_of(policy, LANGUAGES[:1], HISTORIES[:1])
    (first,) = chunks_of(ChameleonPolicy(model), LANGUAGES[:1], HISTORIES[:1])
    chunks = [first, *(model.actions.decode(bins) for bins in policy._drawn(LANGUAGES[:1], HISTORIES[:1]))]
    (winner,) = [place for place, chunk in enumerate(chunks) if np.array_equal(chunk, best)]
    greedy = policy._greedy

    def mute(languages, histories):
        answers = greedy(languages, histories)
        return answers if len(answers) == 1 else [None if n in muted else one for n, one in enumerate(answers)]

    monkeypatch.setattr(policy, "_greedy", mute)
    muted = {winner}
    (found,) = chunks_of(policy, LANGUAGES[:1], HISTORIES[:1])
    assert not np.array_equal(found, chunks[winner])
    muted = {0, 1, 2, 3}
    (found,) = chunks_of(policy, LANGUAGES[:1], HISTORIES[:1])
    np.testing.assert_array_equal(found, first)


def test_a_model_without_a_world_half_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"^planning: the model was trained on action samples, expected action and world"
    ):
        PlanningPolicy(toy_model(samples=("action",)))
    run = write_project(tmp_path, samples=("action",))
    with pytest.raises(ValueError, match=r"correct the list planning in params.yaml$"):
        PlanningPolicy.load(run, tmp_path / "data/tokenizer/goal-main", search=FOUR)


def test_a_run_is_loaded_with_its_search(tmp_path):
    run, tokenizer = write_project(tmp_path), tmp_path / "data/tokenizer/goal-main"
    greedy, planned = PlanningPolicy.load(run, tokenizer), PlanningPolicy.load(run, tokenizer, search=FOUR)
    assert (planned.chunk, planned.history) == (CHUNK, HISTORY)
    np.testing.assert_array_equal(chunks_of(greedy), chunks_of(ChameleonPolicy.load(run, tokenizer)))
    assert (chunks_of(planned) != chunks_of(greedy)).any()
