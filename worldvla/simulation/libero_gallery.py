"""What the scripted expert makes of LIBERO's own tasks: a table of all of them, and pictures.

    python -m worldvla.simulation.libero_gallery --out docs --states 10

Writes ``libero_tasks.md``, and one contact sheet per suite, ``libero/<suite>.png``: what each task starts from, and what
it looks like when it is solved. With 10 states about ten minutes of two cores; needs LIBERO's assets.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from worldvla.files import atomic_file, write_text
from worldvla.params.benchmarks import NUM_INIT_STATES, SUITES, max_steps
from worldvla.params.unsolved import UNSOLVED
from worldvla.running import console
from worldvla.running.cores import num_cores
from worldvla.simulation import engine, gallery
from worldvla.simulation.libero import Environment, init_states
from worldvla.simulation.libero_assets import ensure_assets
from worldvla.simulation.libero_expert.expert import LiberoExpert
from worldvla.simulation.processes import begin_worker, spawn_context
from worldvla.simulation.tasks import Task, tasks

PIXELS = 176
NUM_COLORS = 128  # of a sheet
NUM_TAIL_STEPS = 2  # that success has to last, as in a recording


@dataclass
class Outcome:
    """What the expert made of a task."""

    task: Task
    steps: list[int] = field(default_factory=list)  # of each success
    failures: list[int] = field(default_factory=list)  # initial states
    picture: np.ndarray | None = None  # first and last frame of a try, of a success if there is one

    @property
    def rate(self) -> str:
        """Successes of tries."""
        return f"{len(self.steps)}/{len(self.steps) + len(self.failures)}"

    @property
    def is_solved(self) -> bool:
        """Whether at least half of the tries succeeded."""
        return len(self.steps) >= max(len(self.failures), 1)

    @property
    def caption(self) -> str:
        """What stands under the picture: the instruction is too long for it, the table has it."""
        return f"{self.task.index}: {self.rate}" + ("" if self.is_solved else ", not solved")


def main(*, out: Path, states: str = "10") -> None:
    """Let the expert try all of LIBERO's tasks; write the page and the sheets."""
    if not states.isdecimal() or not 1 <= int(states) <= NUM_INIT_STATES:
        raise ValueError(f"--states is '{states}'; expected a number from 1 to {NUM_INIT_STATES}")
    ensure_assets("libero")
    every = [task for suite in SUITES["libero"] for task in tasks("libero", suite)]
    outcomes: dict[str, list[Outcome]] = {suite: [] for suite in SUITES["libero"]}
    # In workers, for they have the arithmetic that is the same everywhere.
    with (
        ProcessPoolExecutor(num_cores(), spawn_context(), begin_worker) as pool,
        console.Progress(desc="tasks", unit="task", total=len(every)) as bar,
    ):
        for outcome in pool.map(measure, every[::-1], [int(states)] * len(every)):  # what is longest first
            outcomes[outcome.task.suite].insert(0, outcome)
            bar.update()
    text = page(outcomes, int(states), engine.describe("libero"))  # first, for it finds out whether params agree
    for suite, members in outcomes.items():
        _write_sheet(out / "libero" / f"{suite}.png", members)
    write_text(out / "libero_tasks.md", text)
    print(f"{out}: libero_tasks.md, {len(outcomes)} contact sheets")


def measure(task: Task, num_states: int) -> Outcome:
    """Let the expert try the first of a task's fixed initial states (runs in a worker)."""
    outcome = Outcome(task)
    with Environment(task, pixels=PIXELS, seed=0, looks="simple") as environment:
        for number, state in enumerate(init_states(task)[:num_states]):
            environment.reset(state)
            first = environment.frame()
            num_steps = attempt(environment)
            if not outcome.steps and (num_steps is not None or outcome.picture is None):
                outcome.picture = np.concatenate([first, environment.frame()], axis=1)
            if num_steps is None:
                outcome.failures.append(number)
            else:
                outcome.steps.append(num_steps)
    return outcome


def attempt(environment: Environment) -> int | None:
    """Return the steps that the expert takes from the environment's state until the task stays solved; None: it does not."""
    expert, solved = LiberoExpert(environment), 0
    task = environment.task
    for step in range(max_steps(task.benchmark, task.suite)):
        solved = solved + 1 if environment.step(expert.act()) else 0
        if solved > NUM_TAIL_STEPS:
            return step + 1
    return None


def page(outcomes: dict[str, list[Outcome]], num_states: int, simulator: str) -> str:
    """Return the page as Markdown; ``simulator`` says with what it was measured."""
    everything = [outcome for suite in outcomes.values() for outcome in suite]
    good = sum(len(outcome.steps) >= 0.9 * num_states for outcome in everything)
    lines = [
        "# LIBERO's tasks and the scripted expert",
        "",
        f"Generated by `python -m worldvla.simulation.libero_gallery --out docs --states {num_states}`, with",
        f"{simulator}.",
        "",
        "The expert (`worldvla/simulation/libero_expert/`) sees the simulator's state and acts by the 7 commands that a",
        "policy has, through the physics alone. It records the demonstrations of `benchmark: libero`,",
        "`demonstrations: scripted`.",
        f"Of {len(everything)} tasks it solves {good} from at least 9 of 10 of their fixed initial states.",
        f"Tried: the first {num_states} of {NUM_INIT_STATES}; solved: within the steps of a rollout, and for three steps in "
        "a row.",
        "A task that it solves from fewer than half of them is refused where it would have to be recorded.",
        "Pictures, the start and the end of a try, are in simple looks.",
        "",
    ]
    for suite, members in outcomes.items():
        lines += [
            f"## {suite}",
            "",
            f"At most {max_steps('libero', suite)} steps.",
            "",
            "| | task | solved | steps, mean | most | not solved: states |",
            "| --: | --- | --: | --: | --: | --- |",
        ]
        for outcome in members:
            mean, most = (f"{np.mean(outcome.steps):.0f}", f"{max(outcome.steps)}") if outcome.steps else ("", "")
            failed = ", ".join(str(number) for number in outcome.failures)
            task = outcome.task
            lines.append(f"| {task.index} | {task.language} | {outcome.rate} | {mean} | {most} | {failed} |")
        lines += ["", f"![The tasks of {suite}: start and end](libero/{suite}.png)", ""]
    lines += ["## What is not solved, and why", "", *_reasons(everything), ""]
    return "\n".join(lines)


def _reasons(outcomes: list[Outcome]) -> list[str]:
    """Return a line per task that the expert solves from fewer than half of the states.

    Raises:
        ValueError: params say otherwise.
    """
    unsolved = {outcome.task.name: outcome.task for outcome in outcomes if not outcome.is_solved}
    if wrong := set(unsolved) ^ (set(UNSOLVED) & {outcome.task.name for outcome in outcomes}):
        raise ValueError(
            f"worldvla/params/unsolved.py and the expert disagree about {sorted(wrong)}; expected there exactly what is "
            "solved from fewer than half of the states; correct it, and run the same command"
        )
    return [f"- {task.suite}, {task.language}: {UNSOLVED[name]}." for name, task in unsolved.items()] or ["Nothing."]


def _write_sheet(path: Path, outcomes: list[Outcome]) -> None:
    """Write the pictures of a suite's tasks; a few colours keep the file small."""
    pictures = [outcome.picture for outcome in outcomes if outcome.picture is not None]
    image = gallery.sheet([outcome.caption for outcome in outcomes], pictures)
    with atomic_file(path) as scratch:
        image.quantize(NUM_COLORS, dither=Image.Dither.NONE).save(scratch, format="PNG", optimize=True)


if __name__ == "__main__":
    console.run(main)
