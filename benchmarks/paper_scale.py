"""What the paper's runs cost, and the ladder of scales: nothing here is measured, and no model is made.

    python -m benchmarks.paper_scale

Runs, trainings and sizes are those of params.yaml and conf/paper.yaml on all four LIBERO suites, counts those of ``./run plan``.
docs/paper_scale.md holds what this prints.
"""

from dataclasses import replace
from pathlib import Path

import torch

from worldvla.costs.asking import UTILISATION, Speed, generation_hours, query_hours
from worldvla.costs.footage import PUBLISHED
from worldvla.costs.pages import only
from worldvla.costs.room import shown
from worldvla.costs.runs import Experiment, Run, counts, query, read_experiment, samples_per_epoch, training_flops
from worldvla.costs.stages import SIMULATION_S, costs, trained
from worldvla.model import placement
from worldvla.model.size import Size, activation_bytes
from worldvla.plan import LADDER, Place, changes, elapsed, number
from worldvla.running.devices import Device, known_device
from worldvla.running.machine import Machine

EPOCHS = 40  # of the release's scripts
ROLLOUTS = 500  # 10 tasks of 50


def device(name: str) -> Device:
    found = known_device(name)
    assert found is not None
    return found


H100 = device("H100")
# What each scale is made for: cores, and GPUs.
MADE_FOR: dict[str, tuple[int, Device | None, int]] = {
    "smoke": (2, None, 0),
    "mini": (2, None, 0),
    "libero": (2, None, 0),
    "single": (8, device("RTX 4090"), 1),
    "paper": (128, H100, 8),
}


def experiment(scale: str) -> Experiment:
    """Return a scale with the demonstrations that it is made for, and all else as in params.yaml."""
    return read_experiment(Path("params.yaml"), Path("conf"), changes(scale))


def hours_of_epochs(run: Run, model: Size) -> float:
    """Return an H100's hours for the release's epochs of a run."""
    assert run.train is not None
    flops = sum(EPOCHS * samples_per_epoch(kind, run) * training_flops(kind, run, model) for kind in run.train.samples)
    return Speed(H100).hours(flops)[1]


def rollout_costs(run: Run) -> tuple[float, float, float, float]:
    """Return core-hours of the simulator and an H100's hours, if episodes are as long as demonstrations, or never end."""
    assert run.rollout is not None
    lengths = (run.footage.length, run.rollout.max_steps)
    cores = [ROLLOUTS * length * SIMULATION_S["published"] / 3600 for length in lengths]
    asked = query_hours(run, Speed(H100), run.rollout.environments)[1] / run.rollout.chunk
    gpus = [ROLLOUTS * length * asked for length in lengths]
    return cores[0], cores[1], gpus[0], gpus[1]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a markdown table."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def samples_table(by_suite: dict[str, Run]) -> str:
    rows, model = [], Size.of(by_suite["spatial"].config)
    for kind, suite in (("action", "spatial"), ("action", "long"), ("world", "spatial")):
        for pixels in (256, 512):
            run = replace(by_suite[suite], pixels=pixels)
            tokens, answered = counts(kind, run)
            flops = training_flops(kind, run, model)
            attention = 3 * 4 * model.layers * model.width * tokens**2 / flops
            what = f"{kind}, K = {run.train.chunk}" if kind == "action" and run.train else kind
            speed = H100.flops * UTILISATION / flops
            row = [f"{tokens:,}", f"{answered:,}", f"{100 * attention:.0f} %", f"{flops / 1e12:.1f}", f"{speed:.1f}"]
            rows.append([f"{what}, {pixels} px", *row])
    return table(["sample", "tokens", "answered", "attention", "TFLOP", "samples/s of an H100"], rows)


def hours_table(by_name: dict[str, dict[str, Run]], model: Size) -> str:
    rows = []
    for name, by_suite in by_name.items():
        hours = [hours_of_epochs(run, model) for run in by_suite.values()]
        pixels = by_suite["spatial"].pixels
        rows.append([f"{name}, {pixels} px", *(f"{value:,.0f}" for value in hours), f"{sum(hours):,.0f}"])
    return table([f"H100-hours of one training, {EPOCHS} epochs", *PUBLISHED, "sum"], rows)


def totals_table(runs: list[Run], model: Size) -> str:
    def ablations_at(pixels: int) -> float:
        sizes = [run if run.name.startswith("all_data") else replace(run, pixels=pixels) for run in runs]
        return sum(hours_of_epochs(run, model) for run in sizes)

    rows = [[f"{EPOCHS} epochs, ablations at {pixels} px", f"{ablations_at(pixels):,.0f}"] for pixels in (256, 512)]
    return table([f"all {len(runs)} trainings", "H100-hours"], rows)


def asking_table(runs: list[Run]) -> str:
    rolled = [rollout_costs(run) for run in runs if run.rollout is not None]
    cores, cores_max, gpus, gpus_max = (sum(column) for column in zip(*rolled, strict=True))
    rows = [
        [f"{len(rolled)} x {ROLLOUTS} rollouts", f"{cores:,.0f} to {cores_max:,.0f}", f"{gpus:.0f} to {gpus_max:.0f}"]
    ]
    for pixels in (256, 512):
        drawn = [replace(run, pixels=pixels) for run in runs if run.generate is not None]
        hours = sum(generation_hours(run, Speed(H100))[1] for run in drawn)
        rows.append([f"clips of 50 frames of two models, {pixels} px", "0", f"{hours:.1f}"])
    return table(["asking the models", "core-hours of the simulator", "H100-hours, at least"], rows)


def memory_table(model: Size) -> str:
    rows = []
    for what, parts in (
        ("training, as here: all in fp32, and the weights in bf16 for products", (6, 4, 8)),
        ("weights and gradients in bf16, AdamW in fp32", (2, 2, 8)),
        ("all in bf16", (2, 2, 4)),
        ("answering in bf16, as here", (2, 0, 0)),
    ):
        split = " + ".join(map(str, parts))
        rows.append([what, f"{split} = {sum(parts)}", f"{sum(parts) * model.total / 1e9:.0f}"])
    return table(["memory without activations", "bytes per parameter: weights, gradients, AdamW", "GB"], rows)


def held_table(run: Run) -> str:
    assert run.train is not None
    config, bf16, rows = run.config, torch.bfloat16, []
    for pixels in (256, 512):
        seen = replace(run, pixels=pixels)
        frame, answered = counts("world", seen)
        asked = query(seen) + 7 * run.train.chunk
        for what, batch, tokens in ((f"10 queries of {run.train.history} frames", 10, asked), ("32 clips", 32, frame)):
            held = placement.cache_bytes(config, batch, tokens, bf16)
            rows.append([f"keys and values of {what}, {pixels} px", f"{held / 1e9:.1f}"])
        kept = activation_bytes(config, counts("action", seen)[0], run.train.dropout)
        rows.append([f"what a training keeps of a sample, K = {run.train.chunk}, {pixels} px", f"{kept / 1e9:.1f}"])
        if pixels == 512:
            logits = placement.logits_bytes(config, 8 * answered, torch.device("cuda"))
            rows.append([f"logits of a loss of 8 x {answered:,} tokens, a block at a time", f"{logits / 1e9:.1f}"])
    return table(["held beside the weights", "GB"], rows)


def ladder_table() -> str:
    rows = []
    for scale in LADDER:
        cores, gpu, num_gpus = MADE_FOR[scale]
        whole = experiment(scale)
        spread = Machine().training_with(num_gpus)
        place = Place(cores, 0.0, 0.0, 1, gpu, num_gpus)
        hours = []
        for part in (only(whole, "table3"), whole):
            found = costs(part, gpu, spread)
            hours.append(elapsed(found, place, spread))
        largest = max(Size.of(run.config).total for run in trained(whole))
        training = next(cost for cost in found if cost.stage == "train")
        disk = sum(cost.disk_gb for cost in found)
        hardware = f"{cores} cores" + (f", {num_gpus} x {gpu.name}" if gpu else "")
        rows.append(
            [
                f"`{scale}`, {', '.join(whole.footage)}",
                hardware,
                shown(largest),
                number(training.gpu_gb if gpu else training.cpu_gb),
                *(number(value) for value in hours),
                number(disk),
            ]
        )
    return table(
        [
            "scale, suites",
            "made for",
            "weights",
            "GB of a training's process",
            "hours of table 3",
            "hours of all",
            "GB on disk",
        ],
        rows,
    )


def report() -> str:
    """Return all tables."""
    runs = trained(experiment("paper"))
    by_name: dict[str, dict[str, Run]] = {}
    for run in runs:
        by_name.setdefault(run.name, {})[run.suite] = run
    model = Size.of(runs[0].config)
    first = (
        f"{model.total / 1e9:.3f} B parameters, {model.body / 1e9:.3f} B of them in the layers that every token passes. "
        "By calculation, not measured."
    )
    tables = [
        samples_table(by_name["all_data"]),
        hours_table(by_name, model),
        totals_table(runs, model),
        asking_table(runs),
        memory_table(model),
        held_table(by_name["all_data"]["spatial"]),
        ladder_table(),
    ]
    return "\n\n".join([first, *tables])


if __name__ == "__main__":
    print(report())
