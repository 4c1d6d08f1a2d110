"""Markdown that is as readable as text as it is rendered."""

import re
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Return an aligned table without a final newline.

    Args:
        header: the columns' names.
        rows: one cell per column; a ``|`` in a cell is escaped.
        right: the columns that stand to the right, as numbers do.
    """
    rule = ["--:" if name in right else "---" for name in header]
    lines = [header, rule, *rows]
    return aligned(["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines])


def aligned(lines: Sequence[str]) -> str:
    """Return the lines of a table, the second of which is the rule, with cells of one width; ``--:`` stands to the right."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    right = [cell.endswith(":") for cell in rows[1]]
    widths = [max(3, *(len(row[place]) for row in rows)) for place in range(len(right))]
    rows[1] = ["-" * (width - 1) + ":" if one else "-" * width for one, width in zip(right, widths, strict=True)]
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if one else cell.ljust(width) for cell, one, width in zip(row, right, widths, strict=True)
        )
        + " |"
        for row in rows
    )
