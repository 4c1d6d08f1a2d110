"""How many demonstrations a suite has, and how many of their steps the filter keeps."""

from dataclasses import dataclass

from worldvla.params.download import DownloadParams

# Of the published ones: the suites without no-ops that OpenVLA publishes. Ours may differ by a few.
PUBLISHED = {"spatial": (432, 52_970), "object": (454, 66_984), "goal": (428, 52_042), "long": (379, 101_469)}
PUBLISHED_RAW, PUBLISHED_BYTES = 50, 33.8e9 / 2000  # per task; per demonstration
LIBERO_TASKS = 10
LEROBOT_BYTES = 34.9e9 / 1693  # per episode of HuggingFaceVLA/libero: two cameras of 256 px as PNG
# Of our expert's. Mean steps on the embedded suites, of which the filter keeps 44 of 48 (docs/suites.md); on LIBERO's, as a
# share of the published length (79 of 123 on spatial), of which it keeps about 19 of 20 (docs/libero.md).
MINI_STEPS, MINI_KEPT = {"spatial": 30, "object": 31, "goal": 30, "long": 68}, 44 / 48
SCRIPTED_LENGTH, SCRIPTED_KEPT = 79 / 123, 0.95
SCRIPTED_BYTES = 0.03e6  # per demonstration: states and actions, no pictures


@dataclass(frozen=True)
class Footage:
    """Demonstrations of a suite: recorded, with their bytes; and what the filter keeps of them, with its steps."""

    recorded: float
    raw_bytes: float
    episodes: float
    steps: float

    @property
    def length(self) -> float:
        """Mean steps of an episode."""
        return self.steps / self.episodes


def footage(params: DownloadParams) -> Footage:
    """Return what the demonstrations of a suite come to; files of a user's own count as the published ones."""
    num_tasks = len(params.tasks)
    if params.demonstrations != "scripted":
        episodes, steps = (count * num_tasks / LIBERO_TASKS for count in PUBLISHED[params.suite])
        if params.demonstrations == "lerobot":
            return Footage(episodes, episodes * LEROBOT_BYTES, episodes, steps)
        recorded = PUBLISHED_RAW * num_tasks
        return Footage(recorded, recorded * PUBLISHED_BYTES, episodes, steps)
    recorded = params.demonstrations_per_task * num_tasks
    if params.benchmark == "mini":
        kept, length = recorded * MINI_KEPT, float(MINI_STEPS[params.suite])
    else:
        episodes, steps = PUBLISHED[params.suite]
        kept, length = recorded * SCRIPTED_KEPT, SCRIPTED_LENGTH * steps / episodes
    return Footage(recorded, recorded * SCRIPTED_BYTES, kept, kept * length)
