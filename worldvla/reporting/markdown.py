"""Markdown that is as readable as text as it is rendered."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Return an aligned table without a final newline.

    Args:
        header: the columns' names.
        rows: one cell per column; a ``|`` in a cell is escaped.
        right: the columns that stand to the right, as numbers do.
    """
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (header, *rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]
    aligned = [
        [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(header, line, widths, strict=True)
        ]
        for line in lines
    ]
    rule = [
        "-" * (width - 1) + ":" if name in right else "-" * width for name, width in zip(header, widths, strict=True)
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in [aligned[0], rule, *aligned[1:]])


def page(*blocks: str) -> str:
    """Return the text of a page: its blocks with one empty line between them."""
    return "\n\n".join(block.strip("\n") for block in blocks if block) + "\n"


def folded(summary: str, *blocks: str) -> str:
    """Return blocks that a reader opens by their summary."""
    return "\n\n".join(["<details>", f"<summary>{summary}</summary>", *filter(None, blocks), "</details>"])
