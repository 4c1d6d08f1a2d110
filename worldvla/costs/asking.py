"""What questions cost: a chunk of actions, a frame, a chunk that is planned; by arithmetic, on a GPU or on cores."""

from dataclasses import dataclass

from worldvla.costs.runs import Run, asked, given, query
from worldvla.model.size import Size
from worldvla.running.devices import Device

UTILISATION = 0.3  # of a GPU's peak, by trainings, prompts and the image tokenizer; assumed
# Of one core, measured at `mini` (benchmarks/README.md): products of small models, and LIBERO's engine.
CORE_FLOPS = 75e9
GB = 1e9


@dataclass(frozen=True)
class Speed:
    """How fast models compute: on a GPU, or on cores without one."""

    gpu: Device | None

    def hours(self, flops: float, read: float = 0.0) -> tuple[float, float]:
        """Return hours of cores and of the GPU for some FLOPs, and for bytes of weights and caches that are read."""
        if self.gpu is None:
            return flops / CORE_FLOPS / 3600, 0.0
        return 0.0, (flops / (self.gpu.flops * UTILISATION) + read / self.gpu.bandwidth) / 3600


def mean_steps(run: Run) -> float:
    """Return the control steps of an episode, if half of them end as demonstrations do, and half at the limit."""
    return (run.footage.length + run.rolled.max_steps) / 2


def answering_gb(run: Run, speed: Speed) -> float:
    """Return the memory of a model that is asked, with the keys and values of its side-by-side queries or clips."""
    model, lanes = Size.of(run.config), []
    if run.rollout is not None:
        lanes.append(run.rollout.environments * (query(run) + 7 * run.rollout.chunk))
    if run.planned is not None:
        tokens = max(query(run) + 9 * run.planned.chunk, given(run) + run.codes.size + 2)
        lanes.append(run.planned.environments * run.planned.candidates * tokens)
    if run.generate is not None:
        lanes.append(run.generate.batch * (given(run) + run.codes.size + 2))
    return _held_gb(model, max(lanes, default=0), speed)


def in_turns_gb(runs: list[Run], speed: Speed) -> list[tuple[float, list[Run]]]:
    """Return which policies the stage speed holds together, one query of each at a time, and the memory of all of them.

    They are those of a suite that answer with chunks of the same length (``pipeline/speed.py``).
    """
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.suite, asked(run).chunk), []).append(run)
    return [
        (sum(_held_gb(Size.of(run.config), query(run) + 7 * asked(run).chunk, speed) for run in group), group)
        for group in groups.values()
    ]


def _held_gb(model: Size, tokens: int, speed: Speed) -> float:
    bytes_per = 1 if speed.gpu else 2  # fp32 on a CPU
    return bytes_per * (2 * model.total + model.cache(tokens)) / GB


def query_hours(run: Run, speed: Speed, side_by_side: int) -> tuple[float, float]:
    """Return hours of cores and of the GPU for one chunk: reading the prompt, and its share of the passes that choose bins.

    Weights are read once for all queries that are asked ``side_by_side``.
    """
    model, how, prompt = Size.of(run.config), asked(run), query(run)
    passes = 7 if how.mask == "action" else 7 * how.chunk
    read = 2 * model.total / side_by_side + model.cache(prompt)
    flops = model.forward(prompt, 0)
    if speed.gpu is None:
        flops += model.forward(7 * how.chunk, 7 * how.chunk, seen=prompt)
    return speed.hours(flops, passes * read)


def planning_hours(run: Run, speed: Speed) -> tuple[float, float]:
    """Return hours of cores and of the GPU for one chunk that is chosen by looking ahead.

    Of every candidate: the chunk, a frame for each of its actions, the chunk at these frames, and how likely both are.
    """
    assert run.planned is not None
    model, how, num = Size.of(run.config), run.planned, run.planned.candidates
    if num == 1:
        return query_hours(run, speed, how.environments)
    scored = speed.hours(model.forward(query(run) + 9 * how.chunk, 7 * how.chunk))
    frame = frame_hours(run, speed, how.environments * num)
    hours = zip(query_hours(run, speed, how.environments * num), scored, frame, strict=True)
    cores, gpu = (num * (2 * chunk + 2 * both + how.chunk * one) for chunk, both, one in hours)
    return cores, gpu


def frame_hours(run: Run, speed: Speed, batch: int) -> tuple[float, float]:
    """Return hours of cores and of the GPU to predict a frame, of so many that are predicted side by side."""
    model, codes, prompt = Size.of(run.config), run.codes.size, given(run)
    flops = model.forward(prompt, 0) + model.forward(codes, codes, seen=prompt + codes // 2)
    read = 2 * model.total / batch + model.cache(prompt + codes // 2)
    return speed.hours(flops if speed.gpu is None else 0.0, codes * read)


def generation_hours(run: Run, speed: Speed) -> tuple[float, float]:
    """Return hours of cores and of the GPU to predict the held-out tenth of a suite.

    With true and with shuffled actions; and once more each frame after the true one, to count the codes that come out right.
    """
    assert run.generate is not None
    frames = 3 * num_clips(run) * (max(horizons_of(run)) - 1)
    cores, gpu = frame_hours(run, speed, run.generate.batch)
    return frames * cores, frames * gpu


def num_clips(run: Run) -> int:
    """Return how many episodes of a suite are held out, the clips to predict."""
    return max(1, round(0.1 * run.footage.episodes))


def horizons_of(run: Run) -> tuple[int, ...]:
    """Return the lengths in frames of predicted clips."""
    assert run.generate is not None
    return run.generate.horizons
