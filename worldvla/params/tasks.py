"""Which tasks of a suite a run is about: all, or those that ``params.yaml`` names."""

from collections.abc import Callable, Mapping, Sequence

from worldvla.params import strict
from worldvla.params.unsolved import UNSOLVED

# Benchmark and suite -> the names of its tasks in LIBERO's order; simulation knows them, params may not.
TaskNames = Callable[[str, str], Sequence[str]]
Chosen = Mapping[str, Sequence[int | str]]


def chosen_indices(chosen: Chosen, suite: str, names: Sequence[str]) -> tuple[int, ...]:
    """Return the indices of the tasks of a suite that are chosen, sorted; all of them if the suite is not named."""
    if suite not in chosen:
        return tuple(range(len(names)))
    return tuple(sorted({entry if isinstance(entry, int) else list(names).index(entry) for entry in chosen[suite]}))


def selection_faults(chosen: Chosen, suite: str, names: Sequence[str]) -> list[str]:
    """Return a sentence for every entry of a suite's list that names no task of it, or one twice."""
    if suite not in chosen:
        return []
    entries = chosen[suite]
    faults = []
    for entry in entries:
        if isinstance(entry, int) and not 0 <= entry < len(names):
            faults.append(f"tasks of '{suite}' has {entry}; expected 0 to {len(names) - 1}, or names")
        if isinstance(entry, str) and entry not in names:
            faults.append(f"tasks of '{suite}' has '{entry}'; {strict.known(entry, names)}")
    if not faults and len(chosen_indices(chosen, suite, names)) != len(entries):
        faults.append(f"tasks of '{suite}' is {list(entries)}; expected each task once")
    if not entries:
        faults.append(f"tasks of '{suite}' is empty; name at least one task, or leave the suite out for all of them")
    return faults


def expert_faults(chosen: Chosen, suite: str, names: Sequence[str]) -> list[str]:
    """Return a sentence if a chosen task of a LIBERO suite is one that the scripted expert does not solve."""
    indices = chosen_indices(chosen, suite, names)
    unsolved = [names[index] for index in indices if names[index] in UNSOLVED]
    if not unsolved:
        return []
    solved = [index for index in indices if names[index] not in UNSOLVED]
    fewer = f"make tasks {{{suite}: {solved}}}, or " if solved else "make "
    return [
        f"demonstrations is 'scripted', but the expert does not solve '{unsolved[0]}' of the suite '{suite}'"
        f"{f' and {len(unsolved) - 1} more' if len(unsolved) > 1 else ''} ({UNSOLVED[unsolved[0]]}); {fewer}"
        "demonstrations: hub and looks: published"
    ]
