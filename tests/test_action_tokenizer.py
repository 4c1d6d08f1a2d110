"""Commands to bins and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from worldvla.tokenizers.action import PUBLISHED, ActionTokenizer

RELEASE = ActionTokenizer.published("release")
LOW, HIGH = map(np.array, PUBLISHED["release"])


def test_released_examples():
    """Token ids of the release, less 10006: gripper -1 -> 10006, +1 -> 10260, zero delta -> 10133 (dim 3: 10124)."""
    zero_open, zero_close = [0, 0, 0, 0, 0, 0, -1], [0, 0, 0, 0, 0, 0, 1]
    assert RELEASE.encode(np.array([zero_open, zero_close], dtype=float)).tolist() == [
        [127, 127, 127, 118, 127, 127, 0],
        [127, 127, 127, 118, 127, 127, 254],
    ]
    assert RELEASE.encode(LOW).tolist() == [0] * 7
    assert RELEASE.encode(HIGH).tolist() == [254] * 7
    assert RELEASE.encode(HIGH * 2).tolist() == [255] * 7  # only what is clipped gets there
    assert RELEASE.decode(np.full(7, 255)).tolist() == RELEASE.decode(np.full(7, 254)).tolist()
    assert RELEASE.decode(np.array([0] * 7))[6] == pytest.approx(-0.99608, abs=1e-5)


@given(arrays(float, (5, 7), elements=st.floats(0, 1)))
def test_round_trip_error_is_at_most_half_an_interval(unit):
    actions = LOW + unit * (HIGH - LOW)
    error = np.abs(RELEASE.decode(RELEASE.encode(actions)) - actions)
    assert (error <= (HIGH - LOW) / 510 + 1e-7).all()


@given(arrays(float, (7,), elements=st.floats(-1e6, 1e6)))
def test_any_finite_command_has_a_bin_and_bins_survive_a_round_trip(action):
    bins = RELEASE.encode(action)
    assert ((bins >= 0) & (bins <= 255)).all()
    assert (RELEASE.encode(RELEASE.decode(bins)) == np.minimum(bins, 254)).all()


def test_fit_covers_the_data_and_a_still_dimension():
    actions = np.random.default_rng(0).uniform(-0.5, 0.7, (100, 7))
    actions[:, 3] = 0.0
    tokenizer = ActionTokenizer.fit(actions)
    error = np.abs(tokenizer.decode(tokenizer.encode(actions)) - actions)
    assert (error <= (np.array(tokenizer.high) - np.array(tokenizer.low)) / 510 + 1e-7).all()


def test_a_fitted_zero_stays_zero_whatever_the_range():
    """robosuite holds the hand's orientation only while the command to turn is exactly zero."""
    actions = np.zeros((4, 7))
    actions[1], actions[2] = [1.0, -0.4, 0.3, -0.25, 0.5, 0.75, 1], [-0.2, 0.1, 0.9, 0.5, -0.25, 0.0, -1]
    tokenizer = ActionTokenizer.fit(actions)
    assert tokenizer.decode(tokenizer.encode(np.zeros(7))).tolist() == [0.0] * 7


def test_save_and_load(tmp_path):
    RELEASE.save(tmp_path / "actions.json")
    assert ActionTokenizer.load(tmp_path / "actions.json") == RELEASE


def test_bad_commands_are_named():
    with pytest.raises(ValueError, match=r"action\[1, 6\] is nan; expected a finite command"):
        RELEASE.encode(np.array([[0.0] * 7, [0.0] * 6 + [np.nan]]))
    with pytest.raises(ValueError, match="got 6 dimensions, expected 7"):
        RELEASE.encode(np.zeros((2, 6)))
    with pytest.raises(ValueError, match="expected 7 pairs with low < high"):
        ActionTokenizer((0.0,) * 7, (0.0,) * 7)


def test_the_successor_has_a_table_of_its_own():
    actions = np.zeros((1, 7))
    release, successor = RELEASE.encode(actions), ActionTokenizer.published("successor").encode(actions)
    assert successor.tolist() != release.tolist()
    assert ActionTokenizer.published("successor").high[3] == 0.34821429
