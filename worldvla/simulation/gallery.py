"""Pictures of the embedded suites: what each task starts from, and what it looks like when the expert has solved it.

    python -m worldvla.simulation.gallery docs/suites

Writes one contact sheet per suite, ``<suite>.png``; takes a few seconds.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from worldvla.files import atomic_file
from worldvla.params.benchmarks import max_steps
from worldvla.simulation.expert import Expert
from worldvla.simulation.libero import Environment, init_states
from worldvla.simulation.mini.suites import SUITES
from worldvla.simulation.tasks import Task, tasks

PIXELS = 192  # side of a frame; the policy sees the same in fewer
NUM_COLUMNS = 2
GAP, CAPTION, FONT_SIZE = 8, 22, 14  # in pixels
PAPER, INK = (255, 255, 255), (30, 30, 30)


def main() -> None:
    """Write the sheets into the folder named on the command line."""
    parser = argparse.ArgumentParser(description="Draw a contact sheet of every embedded suite.")
    parser.add_argument("out", type=Path, help="folder of the sheets")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for suite in SUITES:
        members = tasks("mini", suite)
        with atomic_file(out / f"{suite}.png") as scratch:
            sheet([task.language for task in members], [solve(task) for task in members]).save(scratch, format="PNG")
    print(f"{out}: {len(SUITES)} contact sheets ({', '.join(f'{suite}.png' for suite in SUITES)})")


def solve(task: Task, init_state: int = 0) -> np.ndarray:
    """Return the first frame and that of the expert's success side by side, upright RGB uint8 [PIXELS, 2 PIXELS, 3].

    Raises:
        ValueError: the expert does not succeed.
    """
    state = init_states(task)[init_state]
    with Environment(task, pixels=PIXELS, seed=0) as environment:
        environment.reset(state)
        first = environment.frame()
        expert = Expert(environment)
        for _ in range(max_steps(task.benchmark, task.suite)):
            if environment.step(expert.act()):
                return np.concatenate([first, environment.frame()], axis=1)
    raise ValueError(f"mini {task.suite}/{task.name}: the expert does not solve init state {init_state}")


def sheet(captions: list[str], pictures: list[np.ndarray]) -> Image.Image:
    """Return pictures, all of one shape uint8 [h, w, 3], in columns with a caption under each."""
    height, width = pictures[0].shape[:2]
    num_rows = -(-len(pictures) // NUM_COLUMNS)
    size = (NUM_COLUMNS * (width + GAP) + GAP, num_rows * (height + CAPTION + GAP) + GAP)
    image = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(FONT_SIZE)
    for number, (caption, picture) in enumerate(zip(captions, pictures, strict=True)):
        row, column = divmod(number, NUM_COLUMNS)
        x, y = GAP + column * (width + GAP), GAP + row * (height + CAPTION + GAP)
        image.paste(Image.fromarray(picture), (x, y))
        draw.text((x + width / 2, y + height + 3), caption, fill=INK, font=font, anchor="ma")
    return image


if __name__ == "__main__":
    main()
