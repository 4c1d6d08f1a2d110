"""What a sample looks like, token by token: readable beside section 3 of the paper."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worldvla.masks import lanes, mask_of, picture
from worldvla.sequences import (
    IGNORED,
    PROMPTS,
    action_prompt,
    action_sample,
    action_windows,
    video_sample,
    video_windows,
    world_prompt,
    world_sample,
    world_windows,
)
from worldvla.vocabulary import CHAMELEON, compact

TINY = compact(num_text=2, num_codes=4)


def mask_of_layout(name, layout):
    """Return the mask [query, key] of a sample under the mask called ``name``."""
    return mask_of(torch.from_numpy(lanes(name, layout))[None])[0]


def tiny_sample(images: int, chunk: int):
    codes = [np.array([3])] * images
    return action_sample(TINY, [0, 1], codes, np.zeros((chunk, 7), dtype=int))


def test_layout_of_an_action_sample():
    assert tiny_sample(images=2, chunk=3).layout.picture() == "t i i | A A A |"


def test_second_action_is_blind_to_the_first():
    sample = tiny_sample(images=1, chunk=2)
    text, image, action = "#" * 3, "#" * 3, "#" * 9
    prompt = text + image + "#"
    expected = [("#" * (row + 1)).ljust(26, ".") for row in range(len(prompt))]
    expected += [(prompt + "#" * (row + 1)).ljust(26, ".") for row in range(9)]
    expected += [(prompt + "." * 9 + "#" * (row + 1)).ljust(26, ".") for row in range(9)]
    expected += [prompt + action + action + "#"]  # the last separator is no action: it sees everything
    assert picture(mask_of_layout("action", sample.layout)) == expected


def tiny_world_sample(rounds: int):
    return world_sample(TINY, [0, 1], [np.array([3])] * (rounds + 1), np.zeros((rounds, 7), dtype=int))


def tiny_video_sample(images: int, chunk: int):
    return video_sample(TINY, [0, 1], [np.array([3])] * images, [np.array([2])] * chunk)


def test_layouts_of_world_and_video_samples():
    assert tiny_world_sample(rounds=1).layout.picture() == "t i a | I |"
    assert tiny_world_sample(rounds=3).layout.picture() == "t i a | I | i a | I | i a | I |"
    assert tiny_video_sample(images=2, chunk=3).layout.picture() == "t i i | I I I |"


@pytest.mark.parametrize("sample", [tiny_world_sample(1), tiny_world_sample(3), tiny_video_sample(2, 3)])
def test_the_action_mask_leaves_world_and_video_samples_causal(sample):
    length = sample.layout.length
    assert torch.equal(mask_of_layout("action", sample.layout), torch.ones(length, length).tril().bool())


def test_causal_mask_is_the_triangle():
    layout = tiny_sample(images=1, chunk=2).layout
    assert torch.equal(mask_of_layout("causal", layout), torch.ones(26, 26).tril().bool())


@given(images=st.integers(1, 3), chunk=st.integers(1, 4))
def test_action_mask_equals_its_definition(images, chunk):
    """Token by token, from the release's words: an answered block is blind to all earlier blocks, else causal."""
    sample = tiny_sample(images, chunk)
    prefix = sample.layout.predicted_start
    block = [None] * prefix + [k for k in range(chunk) for _ in range(9)] + [None]
    mask = mask_of_layout("action", sample.layout)
    for query in range(len(block)):
        for key in range(len(block)):
            blind = block[query] is not None and block[key] is not None and block[key] != block[query]
            assert mask[query, key] == (key <= query and not blind)


def test_chameleon_ids_of_a_whole_sample_are_the_released_ones():
    """Written by hand from the release: 256 px image of 276 tokens, K = 2 actions, labels from the first BOA."""
    text = [16_397, 17_001]
    codes = np.arange(256) * 32
    bins = np.array([[127, 127, 118, 127, 127, 127, 0], [254, 0, 1, 2, 3, 4, 254]])
    sample = action_sample(CHAMELEON, text, [codes, codes], bins)
    image = [8197, 8812, 8812]
    for row in range(16):
        image += [4 + 32 * (16 * row + column) for column in range(16)] + [8803]
    image += [8196]
    assert len(image) == 276
    answer = [10004, 10133, 10133, 10124, 10133, 10133, 10133, 10006, 15004]
    answer += [10004, 10260, 10006, 10007, 10008, 10009, 10010, 10260, 15004, 8710]
    prompt = [0, 16_397, 17_001, *image, *image, 8710]
    assert sample.tokens.tolist() == prompt + answer
    assert sample.labels.tolist() == [IGNORED] * len(prompt) + answer
    assert action_prompt(CHAMELEON, text, [codes, codes]).tolist() == prompt


def image_at_256_px(codes: range) -> list[int]:
    """By hand: BOI, grid 8 x 8, sixteen rows of codes with their ends, EOI."""
    block = [8197, 8812, 8812]
    for row in range(16):
        block += [4 + code for code in codes[16 * row : 16 * row + 16]] + [8803]
    return [*block, 8196]


def test_chameleon_ids_of_a_whole_world_sample_are_the_released_ones():
    """Written by hand from the release: 276-token image, 9-token action, SEP, 276-token image, SEP; 277 labels."""
    text, bins = [16_397, 17_001], np.array([127, 127, 118, 127, 127, 127, 254])
    before, after = range(256), range(7000, 7256)
    sample = world_sample(CHAMELEON, text, [np.array(before), np.array(after)], bins[None])
    action = [10004, 10133, 10133, 10124, 10133, 10133, 10133, 10260, 15004]
    prompt = [0, *text, *image_at_256_px(before), *action, 8710]
    answer = [*image_at_256_px(after), 8710]
    assert (len(image_at_256_px(before)), len(answer)) == (276, 277)
    assert sample.tokens.tolist() == prompt + answer
    assert sample.labels.tolist() == [IGNORED] * len(prompt) + answer
    assert world_prompt(CHAMELEON, text, np.array(before), bins).tolist() == prompt


def test_a_second_round_shows_its_image_again_and_answers_with_the_one_after():
    codes, bins = [np.array([code]) for code in (0, 1, 2)], np.array([[3] * 7, [4] * 7])
    two = world_sample(TINY, [0], codes, bins)
    first = world_sample(TINY, [0], codes[:2], bins[:1])
    second = world_sample(TINY, [0], codes[1:], bins[1:])
    text = 2
    assert two.tokens.tolist() == [*first.tokens, *second.tokens[text:]]
    assert two.labels.tolist() == [*first.labels, *second.labels[text:]]


def test_a_video_sample_answers_with_the_frames_after_now():
    now, future = [np.array([0]), np.array([1])], [np.array([2]), np.array([3])]
    sample = video_sample(TINY, [0, 1], now, future)
    prompt = action_prompt(TINY, [0, 1], now).tolist()
    answer = [*TINY.image(future[0]), *TINY.image(future[1]), TINY.separator]
    assert sample.tokens.tolist() == prompt + answer
    assert sample.labels.tolist() == [IGNORED] * len(prompt) + answer


def test_image_block_at_512_px_is_1060_tokens_with_its_own_grid():
    block = CHAMELEON.image(np.zeros(1024, dtype=int))
    assert len(block) == 1060
    assert block[1:3].tolist() == [8820, 8820]


def test_compact_ids_do_not_overlap_and_fill_the_vocabulary():
    ids = compact(num_text=3, num_codes=5)
    specials = [ids.bos, ids.separator, ids.begin_image, ids.end_image, ids.begin_action, ids.end_action]
    used = specials + [ids.first_text + i for i in range(3)] + [ids.first_bin + i for i in range(256)]
    used += [ids.first_code + i for i in range(5)]
    assert sorted(used) == list(range(1, ids.size))


def test_first_step_has_one_image_and_windows_stop_at_the_end():
    windows = action_windows(num_steps=6, chunk=5, history=2)
    assert [(list(images), list(actions)) for images, actions in windows] == [
        ([0], [0, 1, 2, 3, 4]),
        ([0, 1], [1, 2, 3, 4, 5]),
    ]
    assert action_windows(num_steps=4, chunk=5, history=2) == []


def test_world_and_video_windows_end_with_the_last_recorded_frame():
    assert world_windows(num_steps=4, rounds=1) == [range(0, 1), range(1, 2), range(2, 3)]
    assert world_windows(num_steps=4, rounds=3) == [range(0, 3)]
    assert world_windows(num_steps=1, rounds=1) == []
    windows = video_windows(num_steps=4, future=2, history=2)
    assert [(list(images), list(future)) for images, future in windows] == [([0], [1, 2]), ([0, 1], [2, 3])]
    assert video_windows(num_steps=2, future=2, history=2) == []


@given(num_steps=st.integers(1, 30), chunk=st.integers(1, 8), history=st.integers(1, 4))
def test_every_window_is_whole_and_every_step_starts_one(num_steps, chunk, history):
    windows = action_windows(num_steps, chunk, history)
    assert len(windows) == max(0, num_steps - chunk + 1)
    for step, (images, actions) in enumerate(windows):
        assert actions == range(step, step + chunk)
        assert images[-1] == step
        assert len(images) == min(history, step + 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TINY.image(np.array([4])), r"compact vocabulary: code 4 is outside \[0, 4\)"),
        (lambda: TINY.action(np.array([256] * 7)), r"compact vocabulary: bin 256 is outside \[0, 256\)"),
        (lambda: TINY.text([2]), r"compact vocabulary: text id 2 is outside \[0, 2\)"),
        (lambda: action_windows(5, 0, 1), "windows: chunk is 0; expected at least 1"),
        (lambda: video_windows(5, 1, 0), "windows: history is 0; expected at least 1"),
        (lambda: world_windows(5, 0), "windows: rounds is 0; expected at least 1"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_prompts_are_the_released_sentences_or_the_papers():
    action = "What action should the robot take to turn on the stove?"
    assert [PROMPTS[reading]["action"].format(task="turn on the stove") for reading in PROMPTS] == [action, action]
    assert PROMPTS["release"]["world"] == (
        "Generate the next image based on the provided sequence of historical images and corresponding actions."
    )
    assert PROMPTS["paper"]["world"] == "Generate the next frame based on the current image and the action."
    assert PROMPTS["paper"]["video"].format(task="turn on the stove") == (
        "Generate the future image based on the task and current image. turn on the stove"
    )
