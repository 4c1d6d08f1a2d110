"""The page of table 1: the paper's kinds of models, and which of them are trained here."""

from pathlib import Path

import yaml

from worldvla.reporting.markdown import page, table

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
    joint = [name.lower() for name in present if name not in alone]
    lines = [
        [name, row["discrete"], row["continuous"], _plus(row["input"]), _plus(row["output"])]
        for name, row in rows.items()
    ]
    both = [_plus("".join(rows[name][side] for name in present)) for side in ("input", "output")]
    lines.append(["This product", ", ".join(name.lower() for name in present), "none", *both])
    links = {name: ", ".join(f"[`{one}`]({variants[one]['page']}.md)" for one in trained[name]) for name in rows}
    text = page(
        "# Table 1: the kinds of models of actions and videos, and which of them are trained here",
        "The paper's rows, and last what this product trains. T is text, V is video, A is action.",
        table(["Model type", "Discrete", "Continuous", "Input", "Output"], lines),
        "## The variants",
        "A variant is of every kind whose samples it is trained on; all have discrete tokens."
        + (f" Only together with another kind: {', '.join(joint)}." if joint else ""),
        table(
            ["Kind", "Samples", "Variants"],
            [[name, " + ".join(row["samples"]), links[name] or "none"] for name, row in rows.items()],
        ),
    )
    (folder / "table1.md").write_text(text, encoding="utf-8")


def _plus(modalities: str) -> str:
    """Return modalities as the paper writes them."""
    return " + ".join(letter for letter in MODALITIES if letter in modalities)
