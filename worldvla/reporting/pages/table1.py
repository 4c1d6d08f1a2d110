"""The page of table 1: the paper's kinds of models, and which of them are trained here."""

from pathlib import Path
from typing import Any

import yaml

from worldvla.reporting.markdown import page, table

KINDS = Path(__file__).with_name("table1.yaml")
MODALITIES = "TVA"  # text, video, action: the order in which the paper writes them


def write_page(folder: Path, kinds: Path = KINDS) -> None:
    """Write ``table1.md``.

    Args:
        folder: the reports.
        kinds: the paper's rows, and the variants of this product.
    """
    data = yaml.safe_load(kinds.read_text(encoding="utf-8"))
    rows, variants = data["kinds"], data["variants"]
    trained = {name: _variants(row, variants) for name, row in rows.items()}
    present = [name for name in rows if trained[name]]
    alone = [name for name in present if any(set(variants[one]["samples"]) == _samples(rows[name]) for one in variants)]
    joint = [name.lower() for name in present if name not in alone]
    text = page(
        "# Table 1: the kinds of models of actions and videos, and which of them are trained here",
        "The paper's rows, and last what this product trains. T is text, V is video, A is action.",
        _paper(rows, present),
        "## The variants",
        "A variant is of every kind whose samples it is trained on; all have discrete tokens."
        + (f" Only together with another kind: {', '.join(joint)}." if joint else ""),
        table(
            ["Kind", "Samples", "Variants"],
            [[name, " + ".join(rows[name]["samples"]), _links(trained[name], variants) or "none"] for name in rows],
        ),
    )
    (folder / "table1.md").write_text(text, encoding="utf-8")


def _samples(row: dict[str, Any]) -> set[str]:
    return set(row["samples"])


def _variants(row: dict[str, Any], variants: dict[str, dict[str, Any]]) -> list[str]:
    """Return the variants that are of a kind."""
    return [name for name, variant in variants.items() if _samples(row) <= set(variant["samples"])]


def _paper(rows: dict[str, dict[str, Any]], present: list[str]) -> str:
    lines = [
        [name, row["discrete"], row["continuous"], _plus(row["input"]), _plus(row["output"])]
        for name, row in rows.items()
    ]
    kinds = ", ".join(name.lower() for name in present)
    both = [_plus("".join(rows[name][side] for name in present)) for side in ("input", "output")]
    lines.append(["This product", kinds, "none", *both])
    return table(["Model type", "Discrete", "Continuous", "Input", "Output"], lines)


def _plus(modalities: str) -> str:
    """Return modalities as the paper writes them."""
    return " + ".join(letter for letter in MODALITIES if letter in modalities)


def _links(names: list[str], variants: dict[str, dict[str, Any]]) -> str:
    return ", ".join(f"[`{name}`]({variants[name]['page']}.md)" for name in names)
