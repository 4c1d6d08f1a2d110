"""The page of table 1: the paper's kinds of models, and which of them are trained here."""

from pathlib import Path

import yaml

from worldvla.reporting.pages.template import write

KINDS = Path(__file__).with_name("table1.yaml")
MODALITIES = "TVA"  # text, video, action: the order in which the paper writes them


def write_page(folder: Path, kinds: Path = KINDS) -> None:
    """Write ``table1.md``, given the paper's rows and the variants of this product."""
    data = yaml.safe_load(kinds.read_text(encoding="utf-8"))
    rows, variants = data["kinds"], data["variants"]
    samples = {name: set(row["samples"]) for name, row in rows.items()}
    trained = {name: [one for one in variants if samples[name] <= set(variants[one]["samples"])] for name in rows}
    present = [name for name in rows if trained[name]]
    alone = {name for name in present if any(set(one["samples"]) == samples[name] for one in variants.values())}
    write(
        folder / "table1.md",
        kinds=rows,
        variants=variants,
        trained=trained,
        present=present,
        joint=[name for name in present if name not in alone],
        sees="".join(rows[name]["input"] for name in present),
        answers="".join(rows[name]["output"] for name in present),
        plus=_plus,
    )


def _plus(modalities: str) -> str:
    """Return modalities as the paper writes them."""
    return " + ".join(letter for letter in MODALITIES if letter in modalities)
