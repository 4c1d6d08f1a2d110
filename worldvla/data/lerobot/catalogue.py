"""Which episodes a LeRobot dataset has, of which tasks, and in which of its files each lies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from worldvla.data.lerobot.info import EPISODES, IMAGE, REMEDY, TASKS, Info
from worldvla.params import strict


@dataclass(frozen=True)
class Entry:
    """One episode of a dataset."""

    index: int
    instruction: str  # as the dataset spells it
    length: int  # frames, and so actions
    data: str  # the path of its parquet file in the dataset
    video: str | None  # of its video, which may hold others too
    start_s: float  # of its first frame in there

    @property
    def demo(self) -> str:
        """The name that it gets here."""
        return f"demo_{self.index}"


def read_catalogue(info: Info) -> list[Entry]:
    """Return all episodes of a dataset in their order.

    Raises:
        ValueError: one sentence: a file is missing or damaged, or episodes are missing.
    """
    tasks = _read_tasks(info.folder)
    rows = _read_rows(info)
    missing = sorted(set(range(info.total_episodes)) - set(rows))
    if missing or len(rows) != info.total_episodes:
        got = f"{len(rows)} of {info.total_episodes} episodes"
        named = f"; missing episode {missing[0]}" if missing else ""
        raise ValueError(f"{info.folder / EPISODES}: {got}{named}; expected as many as info.json says; {REMEDY}")
    entries = []
    for index in range(info.total_episodes):
        row = rows[index]
        instructions = row["tasks"] or []
        if len(instructions) != 1 or instructions[0] not in tasks:
            raise ValueError(
                f"{info.folder}: episode {index} has the tasks {instructions}; expected one of {TASKS}; {REMEDY}"
            )
        place = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
        video, start_s = None, 0.0
        if info.form == "video":
            assert info.video_path is not None, "read_info lets none pass without"
            key = f"videos/{IMAGE}"
            inside = {"chunk_index": row[f"{key}/chunk_index"], "file_index": row[f"{key}/file_index"]}
            video, start_s = info.video_path.format(video_key=IMAGE, **inside), float(row[f"{key}/from_timestamp"])
        entries.append(
            Entry(index, instructions[0], int(row["length"]), info.data_path.format(**place), video, start_s)
        )
    return entries


def choose(info: Info, entries: Iterable[Entry], chosen: Iterable[str], known: Iterable[str]) -> dict[str, list[Entry]]:
    """Return the episodes of each chosen instruction, in their order.

    Args:
        info: of the dataset.
        entries: its episodes.
        chosen: the instructions of the tasks that a run is about.
        known: those of the whole benchmark: a dataset may hold other suites too.

    Raises:
        ValueError: one sentence: an instruction is no task's, or a chosen one has no episode.
    """
    by_words: dict[str, list[Entry]] = {}
    for entry in entries:
        by_words.setdefault(_plain(entry.instruction), []).append(entry)
    tasks = {_plain(instruction): instruction for instruction in known}
    for words, members in by_words.items():
        if words not in tasks:
            raise ValueError(
                f"{info.folder}: episode {members[0].index} is of '{members[0].instruction}', which no task is called; "
                f"{strict.known(words, tasks)}; expected instructions of the benchmark; name another demonstrations_folder"
            )
    found = {instruction: by_words.get(_plain(instruction), []) for instruction in chosen}
    for instruction, members in found.items():
        if not members:
            shown = ", ".join(f"'{one[0].instruction}'" for one in by_words.values())
            raise ValueError(
                f"{info.folder}: no episode of '{instruction}' (it has: {shown}); expected one at least of every task; take "
                "fewer tasks, or name another demonstrations_folder"
            )
    return found


def _plain(instruction: str) -> str:
    """Return an instruction as it is compared: case, spaces and a final stop do not count."""
    return " ".join(instruction.lower().replace("_", " ").split()).rstrip(" .")


def _read_tasks(folder: Path) -> set[str]:
    """Return the texts of all tasks: pandas keeps them as the table's index, of whatever name."""
    table = read_parquet(folder / TASKS)
    texts = [name for name in table.column_names if pa.types.is_string(table.schema.field(name).type)]
    texts = texts or [name for name in table.column_names if pa.types.is_large_string(table.schema.field(name).type)]
    if len(texts) != 1 or "task_index" not in table.column_names:
        raise ValueError(
            f"{folder / TASKS}: has the columns {', '.join(table.column_names)}; expected task_index and the tasks' texts; "
            f"{REMEDY}"
        )
    return set(table.column(texts[0]).to_pylist())


def _read_rows(info: Info) -> dict[int, Mapping[str, Any]]:
    """Return the rows of ``meta/episodes`` by the number of the episode, without statistics."""
    columns = ["episode_index", "tasks", "length", "data/chunk_index", "data/file_index"]
    if info.form == "video":
        columns += [f"videos/{IMAGE}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")]
    paths = sorted((info.folder / EPISODES).glob("*/*.parquet"))
    if not paths:
        raise ValueError(f"{info.folder / EPISODES}: no parquet file; expected the list of episodes; {REMEDY}")
    rows = [row for path in paths for row in read_parquet(path, columns).to_pylist()]
    return {int(row["episode_index"]): row for row in rows}


def read_parquet(path: Path, columns: list[str] | None = None, **options: Any) -> pa.Table:
    """Return a parquet file of a dataset, some columns of it.

    Raises:
        ValueError: it is missing or damaged, or lacks a column.
    """
    try:
        found = pq.read_schema(path).names
        absent = [name for name in columns or () if name not in found]
        if absent:
            raise ValueError(f"{path}: no column '{absent[0]}'; expected it there; {REMEDY}")
        return pq.read_table(path, columns=columns, partitioning=None, **options)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; expected it in the dataset; {REMEDY}") from None
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{path}: cannot be read ({reason}); expected a whole parquet file; {REMEDY}") from None
