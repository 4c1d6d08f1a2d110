"""The page of what the paper's printed numbers say by themselves; nothing of ours is on it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from worldvla.metrics import published_rates
from worldvla.metrics.published_rates import Unpaired, chance_agreement, count, fitting, likeliest
from worldvla.metrics.trainings import holm
from worldvla.params.claims import SIGNIFICANCE
from worldvla.reporting.inference.published import published
from worldvla.reporting.inputs.runs import AVERAGE, SUITES
from worldvla.reporting.pages.template import write

ROLLOUTS = 50  # per task: section 4.1
EPISODES = range(ROLLOUTS, 11 * ROLLOUTS, ROLLOUTS)  # of a row and suite, which has ten tasks at most
COUNTED = (450, 500)  # episodes per row and suite: of nine tasks and of ten
TOKENS_PER_ACTION, TABLE5_CHUNK = 9, 5  # seven numbers between two markers: section 3.2; its suite is Goal: section 4.1
# The rows that the paper compares, first against second.
COMPARED = [("table3", first, second) for first, second in ((2, 1), (5, 4), (4, 3), (4, 1), (3, 1))] + [
    ("table6", "with_world_pretraining", "without_world_pretraining"),
    ("table2", "worldvla_256", "openvla"),
    ("table2", "worldvla_512", "openvla"),
]
# What the text of section 1 says of table 3, by its name among the published numbers; and the rows it is held against.
CLAIMED = {
    "world_model_helps": ("the world model helps the action model", [(2, 1), (5, 4)]),
    "chunks_hurt": ("chunks without the mask hurt", [(3, 1)]),
    "mask_helps": ("the mask helps chunks", [(4, 3)]),
}


def write_page(folder: Path) -> None:
    """Write ``forensics.md``: the findings, then what they rest on, folded away but for the differences."""
    kinds = _Kind("tables 3, 5 and 6", _rates(False)), _Kind("the rows of WorldVLA in table 2", _rates(True))
    timing = _timing()
    shortest, longest = timing[0], timing[-1]
    write(
        folder / "forensics.md",
        significance=SIGNIFICANCE,
        compared=differences(),
        rollouts=ROLLOUTS,
        kinds=kinds,
        chances={num: chance_agreement(num) for num in EPISODES},
        uncounted=[_counted(rate) for rate in kinds[0].rates if count(rate, kinds[0].num) is None],
        counted=_counted,
        suites=SUITES,
        rows=_rows(),
        averages=_averages(),
        claims=[_Claimed(key, *rest) for key, rest in CLAIMED.items()],
        fvd=_fvd(),
        fvd_printed=_printed("fvd"),
        timing=timing,
        tokens=[1000 * one["time"].per_token for one in timing],
        per_frame=1000 * (longest["time"].before - shortest["time"].before) / (longest["frames"] - shortest["frames"]),
        tokens_per_action=TOKENS_PER_ACTION,
        chunk=TABLE5_CHUNK,
    )


@dataclass(frozen=True)
class Compared:
    """Two published rates compared."""

    table: str
    rows: str
    group: str
    rates: tuple[float, float]
    episodes: int
    result: Unpaired
    corrected: float

    @property
    def needed(self) -> int | None:
        """The n at which the same two rates, as one sample, would have p < 0.05; None: no n would do."""
        return published_rates.episodes_needed(*self.rates)

    @property
    def reads(self) -> str:
        """What the difference says about its first row."""
        if self.result.p_value >= SIGNIFICANCE:
            return "open"
        way = "higher" if self.result.difference > 0 else "lower"
        return way if self.corrected < SIGNIFICANCE else f"{way}, not after Holm's correction"


def differences() -> list[Compared]:
    """Compare the rows that the paper compares, suite by suite and on average, where suites are strata."""
    ablations, own = (likeliest(_rates(which), EPISODES) for which in (False, True))
    found = []
    for table, *keys in COMPARED:
        first, second = (published(table, key) for key in keys)
        episodes = own if table == "table2" else ablations
        names = " against ".join(str(key).removesuffix("_world_pretraining") for key in keys)
        for group in (*SUITES, AVERAGE):
            rates, num = (first[group], second[group]), episodes
            result = published_rates.unpaired(*rates, episodes)
            if group == AVERAGE:
                result = published_rates.stratified([(first[suite], second[suite]) for suite in SUITES], episodes)
                num = episodes * len(SUITES)
            found.append(Compared(f"Table {table[-1]}", names, group, rates, num, result, result.p_value))
    corrected = holm([one.result.p_value for one in found])
    return [replace(one, corrected=p_value) for one, p_value in zip(found, corrected, strict=True)]


def _rates(own: bool) -> list[float]:
    """Return the distinct success rates of WorldVLA in table 2, or of tables 3, 5 and 6; in percent and without averages."""
    rows = [
        row for place, key, row in _rows() if (place == "Table 2") is own and (not own or key.startswith("worldvla"))
    ]
    return sorted({row[suite] for row in rows for suite in SUITES if suite in row})


class _Kind:
    """Distinct rates of the same number of episodes."""

    def __init__(self, place: str, rates: Sequence[float]):
        self.place, self.rates, self.num = place, rates, likeliest(rates, EPISODES)
        self.chance = chance_agreement(self.num) * len(rates)
        self.fits = {num: fitting(rates, num) for num in EPISODES}


def _rows() -> list[tuple[str, str, dict[Any, Any]]]:
    """Return table, row and rates by suite, of every row that has rates."""
    tables = ("table2", "table3", "table6")
    rows = [(f"Table {name[-1]}", str(key), row) for name in tables for key, row in published(name).items()]
    for key, cells in published("table5").items():
        rows += [("Table 5", f"{key}, frames: {num}", {"goal": cell["rate"]}) for num, cell in cells.items()]
    return rows


def _counted(rate: float | None) -> str:
    if rate is None:
        return ""
    found = [(count(rate, episodes), episodes) for episodes in COUNTED]
    return f"{rate}: " + (", ".join(f"{k}/{episodes}" for k, episodes in found if k is not None) or "neither")


def _averages() -> list[dict[str, Any]]:
    found = []
    for place, key, row in _rows():
        if AVERAGE in row:
            mean = sum((Decimal(str(row[suite])) for suite in SUITES), Decimal(0)) / len(SUITES)
            away = abs(mean - Decimal(str(row[AVERAGE])))
            # The printed mean is off by half a digit; the mean of four printed rates by as much again.
            rounding = "yes" if away <= Decimal("0.05") else "if unrounded" if away <= Decimal("0.1") else "no"
            printed = {"printed": row[AVERAGE], "mean": f"{mean:f}", "apart": f"{away:f}"}
            found.append({"table": place, "row": key, "rounding": rounding} | printed)
    return found


class _Claimed:
    """A claim of the text, and what table 3 has of it."""

    def __init__(self, key: str, words: str, pairs: Sequence[tuple[int, int]]):
        self.key, self.words, self.printed, rows = key, words, _printed(key), published("table3")
        self.pairs = []
        for a, b in pairs:
            changes = {group: rows[a][group] - rows[b][group] for group in (*SUITES, AVERAGE)}
            relative = {group: 100 * change / rows[b][group] for group, change in changes.items()}
            self.pairs.append({"rows": f"{a} against {b}", "changes": changes, "relative": relative})

    def inside(self, changes: dict[str, float]) -> str:
        """Return the suites on which a change is inside what is printed."""
        return _inside(self.key, changes)


def _printed(key: str) -> str:
    low, high = (published("section1")[key][end] for end in ("low", "high"))
    return f"{low:+g} %" if low == high else f"{low:+g} to {high:+g} %"


def _inside(key: str, changes: dict[str, float]) -> str:
    low, high = (published("section1")[key][end] for end in ("low", "high"))
    return ", ".join(name for name, change in changes.items() if low - 0.5 <= round(change, 6) <= high + 0.5) or "none"


def _fvd() -> list[dict[str, Any]]:
    found = []
    for frames, row in published("table4")["world_model"].items():
        world, joint = row["fvd"], published("table4")["action_world_model"][frames]["fvd"]
        relative = 100 * (joint - world) / world
        inside = "no" if _inside("fvd", {"fvd": relative}) == "none" else "yes"
        found.append({"frames": frames, "world": world, "joint": joint, "relative": relative, "inside": inside})
    return found


def _timing() -> list[dict[str, Any]]:
    """Return, by the frames of the history, both speeds and what they imply of a token and of all before the first one."""
    found = []
    for frames, cells in published("table5")["without_chunking"].items():
        fps = cells["fps"], published("table5")["with_chunking"][frames]["fps"]
        time = published_rates.query_time(*fps, TABLE5_CHUNK, TOKENS_PER_ACTION)
        found.append({"frames": frames, "fps": fps, "time": time})
    return found
