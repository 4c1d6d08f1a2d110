"""Instructions as token ids: byte-level BPE of the ``tokenizers`` library, trained or published."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from worldvla.disk_errors import disk_errors
from worldvla.files import atomic_file
from worldvla.vocabulary import misplaced


class TextTokenizer:
    """Text to ids in [0, size) and back. Byte-level: every string has ids, and decoding returns it unchanged."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def train(cls, texts: Iterable[str], size: int) -> "TextTokenizer":
        """Learn at most ``size`` ids from texts; 256 of them are the single bytes."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        # Sorted texts: the result must not depend on the order of the episodes.
        trainer = trainers.BpeTrainer(
            vocab_size=size, min_frequency=1, initial_alphabet=sorted(alphabet), show_progress=False
        )
        tokenizer.train_from_iterator(sorted(set(texts)), trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> "TextTokenizer":
        """Read ``text.json``, ours or a published one of the ``tokenizers`` library."""
        if not path.is_file():
            raise ValueError(f"{path}: no such file; expected a text tokenizer. Run: dvc repro tokenizer")
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as error:  # of the library, which has no class of its own for them
            raise ValueError(
                f"{path}: no text tokenizer ({' '.join(str(error).split())}); expected a file of the tokenizers library. "
                "Bring it anew and run the same command"
            ) from None

    @classmethod
    def load_published(cls, path: Path) -> "TextTokenizer":
        """Read the text tokenizer of the chameleon vocabulary.

        Raises:
            ValueError: no such file, or one whose names have other ids than published checkpoints were trained with.
        """
        texts = cls.load(path)
        if wrong := misplaced(texts._tokenizer.get_vocab()):
            name, got, expected = wrong
            raise ValueError(
                f"{path}: '{name}' {'is missing' if got is None else f'has id {got}'}, expected id {expected}; this is not "
                "the text tokenizer of the chameleon vocabulary. Bring the published text_tokenizer.json and run the same "
                "command"
            )
        return texts

    def save(self, path: Path) -> None:
        """Write ``text.json``."""
        with atomic_file(path) as scratch, disk_errors():
            self._tokenizer.save(str(scratch))

    @property
    def size(self) -> int:
        """Number of ids."""
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without any special token."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        """Return the text of ids."""
        return self._tokenizer.decode(ids)
