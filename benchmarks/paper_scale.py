"""What the paper's runs cost, by calculation: nothing here is measured, and no model is made.

    python -m benchmarks.paper_scale

Runs and sizes are those of params.yaml and conf/paper.yaml on all four LIBERO suites, token counts those of the product's
own samples. docs/paper_scale.md holds what this prints.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

from worldvla.model import placement
from worldvla.model.config import ChameleonConfig
from worldvla.params import strict
from worldvla.params.resolve import resolve
from worldvla.params.train import FinetuneParams, TrainParams
from worldvla.sequences import Sample, action_prompt, action_sample, video_sample, world_prompt, world_sample
from worldvla.simulation.tasks import task_names
from worldvla.vocabulary import CHAMELEON

# Kept demonstrations and their steps: the suites without no-ops that OpenVLA publishes. Ours may differ by a few.
EPISODES = {"spatial": (432, 52_970), "object": (454, 66_984), "goal": (428, 52_042), "long": (379, 101_469)}
TRAINED_ON = {"train": 0.9, "all": 1.0}  # shares of the episodes, under `split: paper`
EPOCHS = 40  # of the release's scripts
TEXT = 20  # tokens of a prompt, about
ROLLOUTS = 500  # 10 tasks of 50

PEAK = 989e12  # FLOP/s of an H100 in bf16, dense
UTILISATION = 0.4  # assumed
BANDWIDTH = 3.35e12  # bytes/s of its memory
SIMULATION_S = 0.09  # a control step with its picture on one core: 11.2 per second are reported for LIBERO with EGL


@dataclass(frozen=True)
class Size:
    """The transformer: parameters that multiply every token, those of the head, and all; width and layers."""

    body: int
    head: int
    total: int
    width: int
    layers: int

    def forward(self, tokens: int, answered: int, seen: int | None = None) -> float:
        """Return the FLOPs of a forward pass; attention is counted in full, as a dense mask makes it.

        Args:
            tokens: fed.
            answered: those that the head is applied to.
            seen: keys that each of them may see; the tokens themselves by default.
        """
        attention = 4 * self.layers * self.width * tokens * (seen or tokens)
        return 2 * (self.body * tokens + self.head * answered) + attention

    def cache(self, tokens: int) -> int:
        """Return the bytes of the keys and values of some tokens in bf16."""
        return 2 * 2 * self.layers * self.width * tokens


@dataclass(frozen=True)
class Run:
    """One training, as resolved; ``steps_max`` are the control steps of its rollouts, None without any."""

    name: str
    suite: str
    pixels: int
    train: TrainParams
    steps_max: int | None
    environments: int


def runs() -> list[Run]:
    """Return every run of params.yaml at the paper's scale."""
    params = strict.read_yaml(Path("params.yaml"))
    params |= {
        "scale": "paper",
        "benchmark": "libero",
        "demonstrations": "hub",
        "looks": "published",
        "suites": list(EPISODES),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_text(yaml.safe_dump(params))
        files = {name: yaml.safe_load(text) for name, text in resolve(path, Path("conf"), task_names).items()}
    found = []
    for name, variant in files["report"]["report"]["variants"].items():
        for suite in EPISODES:
            sections = files[f"{name}-{suite}"]
            cls, section = (TrainParams, "train") if "train" in sections else (FinetuneParams, "finetune")
            rollout = sections.get("rollout", {})
            train = strict.build(cls, sections[section], f"{name}-{suite}: {section}")
            limit, environments = rollout.get("max_steps"), rollout.get("environments", 1)
            found.append(Run(name, suite, variant["pixels"], train, limit, environments))
    return found


def shape(params: TrainParams) -> ChameleonConfig:
    """Return the sizes of a run's model."""
    return ChameleonConfig(
        CHAMELEON.size, params.hidden_size, params.num_layers, params.num_heads, params.intermediate_size
    )


def size(params: TrainParams) -> Size:
    """Return the parameters of the product's own model, built without memory."""
    total = placement.num_weights(shape(params))
    table = CHAMELEON.size * params.hidden_size  # embedding and head are as large
    return Size(total - 2 * table, table, total, params.hidden_size, params.num_layers)


def sample(kind: str, params: TrainParams, pixels: int) -> Sample:
    """Return a sample of a kind, all zeros."""
    codes, bins, text = np.zeros((pixels // 16) ** 2, np.int64), np.zeros((params.chunk, 7), np.int64), [0] * TEXT
    images = [codes] * params.history
    if kind == "action":
        return action_sample(CHAMELEON, text, images, bins)
    if kind == "video":
        return video_sample(CHAMELEON, text, images, [codes] * params.num_future)
    rounds = params.rounds or 1
    return world_sample(CHAMELEON, text, [codes] * (rounds + 1), np.zeros((rounds, 7), np.int64))


def training_flops(kind: str, params: TrainParams, pixels: int, model: Size) -> float:
    """Return the FLOPs of one sample: the backward pass counts twice the forward."""
    made = sample(kind, params, pixels)
    return 3 * model.forward(made.layout.length, int((made.labels >= 0).sum()))


def samples_per_epoch(kind: str, run: Run) -> float:
    """Return the windows of a suite's episodes (see ``worldvla.sequences.action_windows`` and the others)."""
    episodes, steps = EPISODES[run.suite]
    lost = {"action": run.train.chunk - 1, "world": run.train.rounds or 1, "video": run.train.num_future}[kind]
    return TRAINED_ON[run.train.episodes] * (steps - lost * episodes)


def training_hours(run: Run, model: Size, pixels: int) -> float:
    """Return an H100's hours for a run of the release's epochs, which are those in conf/paper.yaml."""
    total = 0.0
    for kind in run.train.samples:
        total += EPOCHS * samples_per_epoch(kind, run) * training_flops(kind, run.train, pixels, model)
    return total / (PEAK * UTILISATION) / 3600


def query_seconds(run: Run, model: Size) -> float:
    """Return an H100's seconds for one chunk: reading the prompt, and its share of the passes that choose bins."""
    codes = np.zeros((run.pixels // 16) ** 2, np.int64)
    prompt = action_prompt(CHAMELEON, [0] * TEXT, [codes] * run.train.history).size
    passes = 7 if run.train.mask == "action" else 7 * run.train.chunk
    read = 2 * model.total / run.environments + model.cache(prompt)  # weights once for all environments
    return model.forward(prompt, 0) / (PEAK * UTILISATION) + passes * read / BANDWIDTH


def rollout_costs(run: Run, model: Size) -> tuple[float, float, float, float]:
    """Return core-hours of the simulator and an H100's hours, if episodes are as long as demonstrations, or never end."""
    assert run.steps_max is not None
    episodes, steps = EPISODES[run.suite]
    lengths = (steps / episodes, run.steps_max)
    cores = [ROLLOUTS * length * SIMULATION_S / 3600 for length in lengths]
    gpus = [ROLLOUTS * length / run.train.chunk * query_seconds(run, model) / 3600 for length in lengths]
    return cores[0], cores[1], gpus[0], gpus[1]


def generation_hours(model: Size, pixels: int, clips: int = 32, frames: int = 50) -> float:
    """Return an H100's hours to predict the held-out tenth of every suite, with true and with shuffled actions."""
    count = sum(round(0.1 * episodes) for episodes, _ in EPISODES.values())
    codes = (pixels // 16) ** 2
    prompt = world_prompt(CHAMELEON, [0] * TEXT, np.zeros(codes, np.int64), np.zeros(7, np.int64)).size
    read = 2 * model.total + clips * model.cache(prompt + codes // 2)
    seconds = 2 * (frames - 1) * (count / clips) * codes * read / BANDWIDTH
    return seconds / 3600


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a markdown table."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def samples_table(model: Size, runs_of_all_data: dict[str, Run]) -> str:
    rows = []
    for kind, suite in (("action", "spatial"), ("action", "long"), ("world", "spatial")):
        params = runs_of_all_data[suite].train
        for pixels in (256, 512):
            made, flops = sample(kind, params, pixels), training_flops(kind, params, pixels, model)
            tokens, answered = made.layout.length, int((made.labels >= 0).sum())
            attention = 3 * 4 * model.layers * model.width * tokens**2 / flops
            what = f"{kind}, K = {params.chunk}" if kind == "action" else kind
            counts = [f"{tokens:,}", f"{answered:,}", f"{100 * attention:.0f} %"]
            rows.append([f"{what}, {pixels} px", *counts, f"{flops / 1e12:.1f}", f"{PEAK * UTILISATION / flops:.1f}"])
    return table(["sample", "tokens", "answered", "attention", "TFLOP", "samples/s of an H100"], rows)


def hours_table(model: Size, by_name: dict[str, dict[str, Run]]) -> str:
    rows = []
    for name, by_suite in by_name.items():
        hours = [training_hours(run, model, run.pixels) for run in by_suite.values()]
        pixels = by_suite["spatial"].pixels
        rows.append([f"{name}, {pixels} px", *(f"{value:,.0f}" for value in hours), f"{sum(hours):,.0f}"])
    return table([f"H100-hours, {EPOCHS} epochs", *EPISODES, "sum"], rows)


def totals_table(model: Size, everything: list[Run]) -> str:
    def ablations_at(pixels: int) -> float:
        sizes = [run.pixels if run.name.startswith("all_data") else pixels for run in everything]
        return sum(training_hours(run, model, size) for run, size in zip(everything, sizes, strict=True))

    rows = [[f"{EPOCHS} epochs, ablations at {pixels} px", f"{ablations_at(pixels):,.0f}"] for pixels in (256, 512)]
    return table([f"all {len(everything)} trainings", "H100-hours"], rows)


def asking_table(model: Size, everything: list[Run]) -> str:
    rolled = [rollout_costs(run, model) for run in everything if run.steps_max is not None]
    cores, cores_max, gpus, gpus_max = (sum(column) for column in zip(*rolled, strict=True))
    rows = [
        [f"{len(rolled)} x {ROLLOUTS} rollouts", f"{cores:,.0f} to {cores_max:,.0f}", f"{gpus:.0f} to {gpus_max:.0f}"]
    ]
    for pixels in (256, 512):
        hours = 2 * generation_hours(model, pixels)
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


def held_table(params: TrainParams) -> str:
    config, bf16 = shape(params), torch.bfloat16
    rows = []
    for pixels in (256, 512):
        codes = np.zeros((pixels // 16) ** 2, np.int64)
        query = action_prompt(CHAMELEON, [0] * TEXT, [codes] * params.history).size + 7 * params.chunk
        frame = sample("world", params, pixels).layout.length
        for what, batch, tokens in ((f"10 queries of {params.history} frames", 10, query), ("32 clips", 32, frame)):
            held = placement.cache_bytes(config, batch, tokens, bf16)
            rows.append([f"keys and values of {what}, {pixels} px", f"{held / 1e9:.1f}"])
    answered = int((sample("world", params, 512).labels >= 0).sum())
    logits = placement.logits_bytes(config, 8 * answered, torch.device("cuda"))
    rows.append([f"logits of a loss of 8 x {answered:,} tokens, a block at a time", f"{logits / 1e9:.1f}"])
    return table(["held beside the weights", "GB"], rows)


def report() -> str:
    """Return all tables."""
    everything = runs()
    by_name: dict[str, dict[str, Run]] = {}
    for run in everything:
        by_name.setdefault(run.name, {})[run.suite] = run
    model = size(everything[0].train)
    first = (
        f"{model.total / 1e9:.3f} B parameters, {model.body / 1e9:.3f} B of them in the layers that every token passes. "
        "By calculation, not measured."
    )
    tables = [
        samples_table(model, by_name["all_data"]),
        hours_table(model, by_name),
        totals_table(model, everything),
        asking_table(model, everything),
        memory_table(model),
        held_table(by_name["all_data"]["spatial"].train),
    ]
    return "\n\n".join([first, *tables])


if __name__ == "__main__":
    print(report())
