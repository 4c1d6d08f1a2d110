"""The table that says which episodes are for training and which for validation."""

from pathlib import Path

import pyarrow as pa

from worldvla.data.episodes import read_table

SPLITS = ("train", "val_ind", "val_ood")
SCHEMA = pa.schema([("suite", pa.string()), ("task", pa.string()), ("demo", pa.string()), ("split", pa.string())])


def read_split(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Return the (task, demo) pairs of each split that has any, in written order.

    Raises:
        ValueError: the file is missing or damaged, or names a split that does not exist.
    """
    remedy = "run: dvc repro -f split"
    pairs: dict[str, list[tuple[str, str]]] = {name: [] for name in SPLITS}
    for row in read_table(path, SCHEMA, remedy):
        name = str(row["split"])
        if name not in pairs:
            raise ValueError(f"{path}: unknown split '{name}'; expected one of {', '.join(SPLITS)}; {remedy}")
        pairs[name].append((str(row["task"]), str(row["demo"])))
    return {name: members for name, members in pairs.items() if members}
