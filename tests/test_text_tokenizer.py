"""Text to ids and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldvla.tokenizers.text import TextTokenizer

PROMPTS = ["put the milk in the basket", "put the can in the tray"]
TOKENIZER = TextTokenizer.train(PROMPTS, size=300)


@given(st.text())
def test_any_text_survives_a_round_trip(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_order_and_repetition_of_the_texts_do_not_matter(tmp_path):
    TOKENIZER.save(tmp_path / "a.json")
    TextTokenizer.train(PROMPTS[::-1] * 3, size=300).save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert TextTokenizer.load(tmp_path / "a.json").encode(PROMPTS[0]) == TOKENIZER.encode(PROMPTS[0])


def test_a_known_word_is_one_id():
    assert len(TOKENIZER.encode(PROMPTS[0])) == len(PROMPTS[0].split())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="no such file; expected a text tokenizer"):
        TextTokenizer.load(tmp_path / "text.json")
