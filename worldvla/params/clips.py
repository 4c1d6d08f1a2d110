"""Whether there will be clips to predict, as far as that is known before anything runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from worldvla.data.protocols import NUM_CLIPS, num_held_out
from worldvla.params.benchmarks import max_steps
from worldvla.params.experiment import ExperimentParams


def clip_frames(sizes: Mapping[str, Any]) -> int | None:
    """Return the frames of the longest clips of a file of sizes; None if it does not say so rightly."""
    horizons = sizes["generate"].get("horizons")
    if not isinstance(horizons, list) or not horizons or not all(type(frames) is int for frames in horizons):
        return None
    return max(horizons)


def clip_faults(experiment: ExperimentParams, sizes: Mapping[str, Any], suite: str, tasks: Sequence[str]) -> list[str]:
    """Return a sentence, less the name of the file of sizes, for what keeps clips of a suite from being predicted.

    Args:
        experiment: params.yaml.
        sizes: the file of sizes; of what is wrong in it by itself nothing is said.
        suite: the suite.
        tasks: the names of its tasks that are chosen.
    """
    faults, limit = [], max_steps(experiment.benchmark, suite)
    if (longest := clip_frames(sizes) or 0) > limit:
        faults.append(
            f"generate.horizons has {longest}; expected at most {limit}, the longest episode of the suite '{suite}'"
        )
    number = sizes["download"].get("demonstrations_per_task")
    if experiment.demonstrations == "scripted" and type(number) is int and number > 0:
        held_out = num_held_out(dict.fromkeys(tasks, number), experiment.split)
        if held_out < NUM_CLIPS:
            enough = next(
                more
                for more in range(number, 100)
                if num_held_out(dict.fromkeys(tasks, more), experiment.split) >= NUM_CLIPS
            )
            faults.append(
                f"download.demonstrations_per_task is {number}, of which {held_out} are held out to be predicted for the "
                f"suite '{suite}'; expected {NUM_CLIPS} held out at least; make it {enough} or more"
            )
    return faults
