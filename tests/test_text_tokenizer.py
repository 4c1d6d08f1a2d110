"""Text to ids and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_names import write_text_tokenizer

from worldvla.tokenizers.text import TextTokenizer
from worldvla.vocabulary import code_name, misplaced

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


def test_the_published_names_are_taken_if_each_has_its_id(tmp_path):
    write_text_tokenizer(tmp_path / "text_tokenizer.json")
    texts = TextTokenizer.load_published(tmp_path / "text_tokenizer.json")
    assert texts.size == 65_536
    assert texts.encode("What action?")


def test_digits_of_a_code_are_letters():
    assert [code_name(code) for code in (0, 7, 8191)] == ["IMGIMGAZ", "IMGIMGHZ", "IMGIMGIBJBZ"]


@pytest.mark.parametrize(
    ("swap", "message"),
    [
        (
            ("IMGIMGFZ", "IMGIMGGZ"),
            "'IMGIMGFZ' has id 10, expected id 9; this is not the text tokenizer of the chameleon",
        ),
        (("IMGIMGIBJBZ", "<unk>"), "'IMGIMGIBJBZ' has id 3, expected id 8195"),
        (("<eoss>", "<racm3:break>"), "'<eoss>' has id 8197, expected id 8196"),
    ],
)
def test_a_name_out_of_place_is_named(swap, message, tmp_path):
    path = tmp_path / "text_tokenizer.json"
    write_text_tokenizer(path, swap)
    with pytest.raises(ValueError, match=rf"^{path}: {message}.*run the same command$"):
        TextTokenizer.load_published(path)


def test_a_name_that_is_missing_is_named():
    assert misplaced({}) == ("<s>", None, 0)


def test_a_file_that_is_no_text_tokenizer_is_named(tmp_path):
    (tmp_path / "text.json").write_text("<html>")
    with pytest.raises(ValueError, match=r"^.*/text.json: no text tokenizer \(.*; expected a file of the tokenizers"):
        TextTokenizer.load(tmp_path / "text.json")
