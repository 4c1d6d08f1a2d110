"""A row of the pages about success rates."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """A row of a table of success rates."""

    key: str
    label: str
    variant: str
    paper: Sequence[str | int] = field(default=())  # where its rates stand in published.yaml
    beside: str = ""  # key of the row to whose speed its own is put
