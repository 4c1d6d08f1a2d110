"""A text tokenizer with the published names in the published order; it has learned no words."""

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from worldvla.vocabulary import code_name


def write_text_tokenizer(path: Path, swap: tuple[str, str] | None = None) -> None:
    """Write the stand-in of text_tokenizer.json: 65,536 names, single bytes among them; two of them may be swapped."""
    names = ["<s>", "<pad>", "</s>", "<unk>", *map(code_name, range(8192)), "<eoss>", "<racm3:break>"]
    names += [f"<reserved{number:05d}>" for number in range(8194, 20_000)]  # the reserved number n is token 4 + n
    names += sorted(pre_tokenizers.ByteLevel.alphabet())
    names += [f"word{number}" for number in range(65_536 - len(names))]
    ids = {name: place for place, name in enumerate(names)}
    if swap:
        ids[swap[0]], ids[swap[1]] = ids[swap[1]], ids[swap[0]]
    tokenizer = Tokenizer(models.BPE(ids, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(path))
