"""Which episodes of a suite are held out, by the rules of the paper and of the release, without any randomness."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

Protocol = Literal["paper", "release"]

NUM_CLIPS = 2  # held-out episodes of a suite, at least: a score of one has no interval


def split_episodes(episodes: Iterable[tuple[str, str]], protocol: Protocol) -> dict[tuple[str, str], str]:
    """Assign each (task, demo) pair of a suite to "train", "val_ind" or "val_ood".

    Of each task's n kept episodes the first ceil(0.9 n) are "train", the rest "val_ind", in the lexicographic order of
    the release's folders (trj_0, trj_1, trj_10, ..., trj_9). Under "release", the alphabetically last tenth of the
    tasks (one of LIBERO's ten) is "val_ood" with all its episodes. A smaller suite holds out one task all the same,
    where the release's own formula, index >= ceil(0.9 * tasks), would hold out none.

    Source: ``action_model_conv_generation.py`` of the release (commit 6a9af08); the paper, section 4.1 (90/10).
    """
    demos_by_task: dict[str, list[str]] = defaultdict(list)
    for task, demo in episodes:
        demos_by_task[task].append(demo)
    held_out = held_out_tasks(demos_by_task, protocol)
    split = {}
    for task in sorted(demos_by_task):
        demos = sorted(demos_by_task[task])  # "demo_10" sorts like "trj_10"
        num_train = _nine_tenths(len(demos))
        for position, demo in enumerate(demos):
            inside = "train" if position < num_train else "val_ind"
            split[task, demo] = "val_ood" if task in held_out else inside
    return split


def held_out_tasks(tasks: Iterable[str], protocol: Protocol) -> list[str]:
    """Return those of a suite's tasks that nothing is trained on under a protocol, in alphabetical order."""
    names = sorted(set(tasks))
    num_in = len(names) if protocol == "paper" else min(_nine_tenths(len(names)), max(len(names) - 1, 1))
    return names[num_in:]


def _nine_tenths(number: int) -> int:
    """Return ceil(0.9 * number), exactly."""
    return -(-9 * number // 10)


def num_held_out(num_demonstrations: Mapping[str, int], protocol: Protocol) -> int:
    """Return how many episodes are held out to be predicted of so many demonstrations by task, if all are kept."""
    pairs = [(task, f"demo_{number}") for task, count in num_demonstrations.items() for number in range(count)]
    return list(split_episodes(pairs, protocol).values()).count("val_ind")
