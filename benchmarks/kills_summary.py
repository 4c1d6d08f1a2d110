"""The figures of ``benchmarks.kills``: what was killed when, and what became of the stages whose workers were."""

import collections
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.marked_processes import KINDS

PHASES = ("starting", "running", "ending")  # of a stage: DVC before, while and after its command runs
OUTCOMES = ("survived", "failed", "killed again before it ended")  # of a stage whose worker was killed


@dataclass(frozen=True)
class Kill:
    """What was killed, when."""

    number: int
    kind: str
    stage: str  # empty for the runner and everything
    at_work: dict[str, str]  # stage -> phase, of all that it hit
    offset: int  # bytes that the runs of the copy had printed


def outcomes(kills: Sequence[Kill], printed: bytes) -> list[tuple[Kill, str]]:
    """Return what became of each stage whose worker was killed, by what the runner printed.

    Args:
        kills: of one run, in order.
        printed: by all runs of the copy, this one the last.
    """
    found = []
    for index, kill in enumerate(kills):
        if kill.kind == "worker":
            later = [other.offset for other in kills[index + 1 :] if other.stage in ("", kill.stage)]
            text = printed[kill.offset : min(later, default=None)].decode(errors="replace")
            said = re.search(rf"(?m)^{re.escape(kill.stage)} \| (done|failed) ", text)
            found.append((kill, OUTCOMES[2] if said is None else OUTCOMES[said[1] == "failed"]))
    return found


def summary(kills: Sequence[Kill], ends: Mapping[str, int], figures: Mapping[str, object]) -> str:
    """Return two tables in Markdown: the kills by kind and phase, and the figures.

    Args:
        kills: all of them. One that hit several stages counts in the phase of each.
        ends: outcome -> stages whose worker was killed.
        figures: what else is to be said.
    """
    lines = ["| killed | times | a stage that was " + " | ".join(PHASES) + " | between stages |"]
    lines.append("| --- |" + " --: |" * (len(PHASES) + 2))
    for kind in KINDS:
        of_kind = [kill for kill in kills if kill.kind == kind]
        phases = collections.Counter(phase for kill in of_kind for phase in kill.at_work.values())
        cells = [len(of_kind), *(phases[phase] for phase in PHASES), sum(not kill.at_work for kill in of_kind)]
        lines.append(f"| {kind} | " + " | ".join(map(str, cells)) + " |")
    stages = collections.Counter(name.split("@")[0] for kill in kills for name in kill.at_work)
    rows = {
        "stages hit": ", ".join(f"{name} {count}" for name, count in stages.most_common()),
        "stages whose worker was killed": ", ".join(f"{ends.get(outcome, 0)} {outcome}" for outcome in OUTCOMES),
    }
    lines += ["", "| | |", "| --- | --- |", *(f"| {what} | {figure} |" for what, figure in {**rows, **figures}.items())]
    return "\n".join(lines)
