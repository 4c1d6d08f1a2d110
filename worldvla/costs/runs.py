"""Every run of an experiment as it is resolved, with what it computes: counts of the product's own samples."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from worldvla.costs.footage import Footage, footage
from worldvla.model.config import ChameleonConfig
from worldvla.model.size import Size
from worldvla.params import strict
from worldvla.params.download import DownloadParams
from worldvla.params.generate import GenerateParams
from worldvla.params.resolve import resolve
from worldvla.params.rollout import RolloutParams
from worldvla.params.rollout_planned import RolloutPlannedParams
from worldvla.params.speed import SpeedParams
from worldvla.params.tokenizer import TokenizerParams
from worldvla.params.train import FinetuneParams, TrainParams
from worldvla.params.trainings import ONCE, run_name
from worldvla.sequences import Sample, action_prompt, action_sample, video_sample, world_prompt, world_sample
from worldvla.simulation.tasks import task_names
from worldvla.vocabulary import CHAMELEON, Vocabulary, compact

TEXT = 20  # tokens of a prompt, about
TRAINED_ON = {"train": 0.9, "all": 1.0}  # shares of the episodes, under `split: paper`
SEVEN_B = ChameleonConfig(CHAMELEON.size, 4096, 32, 32, 11_008)  # of the authors' own checkpoints


@dataclass(frozen=True)
class Run:
    """One training on one suite, as resolved; None what is not done with it. The authors' own checkpoints are not trained."""

    name: str
    suite: str
    training: int  # its number; 0 of the authors' own checkpoints
    pixels: int
    footage: Footage
    ids: Vocabulary
    train: TrainParams | None
    rollout: RolloutParams | None
    speed: SpeedParams | None
    generate: GenerateParams | None
    planned: RolloutPlannedParams | None

    @property
    def rolled(self) -> RolloutParams:
        """Params of its rollouts; it has some, greedy or looking ahead."""
        rolled = self.rollout or self.planned
        assert rolled is not None
        return rolled

    @property
    def config(self) -> ChameleonConfig:
        """Sizes of the model."""
        if self.train is None:
            return SEVEN_B
        return ChameleonConfig.of(self.ids.size, self.train)

    @property
    def codes(self) -> np.ndarray:
        """Codes of a frame, all 0."""
        return np.zeros((self.pixels // 16) ** 2, np.int64)


@dataclass(frozen=True)
class Experiment:
    """All that an experiment does: its runs, its image tokenizers by suite and size, its demonstrations by suite."""

    scale: str
    runs: list[Run]
    tokenizers: list[tuple[str, TokenizerParams]]
    footage: dict[str, Footage]
    benchmark: str
    looks: str
    demonstrations: str


def read_experiment(params: Path, conf: Path, changes: Mapping[str, object]) -> Experiment:
    """Return what ``params.yaml`` and ``conf/`` ask for, with some params of the first changed.

    Raises:
        ValueError: one line for every fault of the two, as ``resolve``.
    """
    content = strict.read_yaml(params) | dict(changes)
    with tempfile.TemporaryDirectory() as folder:
        # Named as the file is, and beside what it names, in messages as well.
        path = Path(folder) / params.name
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        try:
            files = {name: yaml.safe_load(text) for name, text in resolve(path, conf, task_names).items()}
        except ValueError as error:
            raise ValueError(str(error).replace(f"{path}", f"{params}")) from None
    report = files["report"]["report"]
    suites = {suite: footage(_built(DownloadParams, files[suite], "download")) for suite in report["suites"]}
    runs, tokenizers = [], {}
    for name, sections in files.items():
        if "tokenizer" in sections:
            tokenizers[name] = _built(TokenizerParams, sections, "tokenizer")
    for suite, found in suites.items():
        for name, variant in report["variants"].items():
            sizes = tokenizers[f"{suite}-{variant['images']}"]
            ids = CHAMELEON if sizes.vocabulary == "chameleon" else compact(sizes.text_size, sizes.num_codes)
            for number in variant["trainings"]:
                sections = dict(files[run_name(name, suite, number)])
                if variant["speed"] and number in ONCE:
                    sections["speed"] = files[suite]["speed"]
                runs.append(_run(name, suite, number, variant["pixels"], found, ids, sections))
        for name in report["released"]:
            sections = files[f"{name}-{suite}"]
            runs.append(_run(name, suite, 0, sections["rollout"]["pixels"], found, CHAMELEON, sections))
    return Experiment(
        report["scale"],
        runs,
        [(name.rpartition("-")[0], params) for name, params in tokenizers.items()],
        suites,
        report["benchmark"],
        report["looks"],
        report["demonstrations"],
    )


def _run(
    name: str, suite: str, number: int, pixels: int, found: Footage, ids: Vocabulary, sections: dict[str, Any]
) -> Run:
    train = _built(FinetuneParams, sections, "finetune") or _built(TrainParams, sections, "train")
    asked = (
        _built(cls, sections, section)
        for cls, section in (
            (RolloutParams, "rollout"),
            (SpeedParams, "speed"),
            (GenerateParams, "generate"),
            (RolloutPlannedParams, "rollout_planned"),
        )
    )
    return Run(name, suite, number, pixels, found, ids, train, *asked)


def _built(cls: Any, sections: dict[str, Any], section: str) -> Any:
    return strict.build(cls, sections[section], section) if section in sections else None


def sample(kind: str, run: Run) -> Sample:
    """Return a sample of a kind, all zeros."""
    params, codes, text = run.train, run.codes, [0] * TEXT
    assert params is not None
    bins, images = np.zeros((params.chunk, 7), np.int64), [codes] * params.history
    if kind == "action":
        return action_sample(run.ids, text, images, bins)
    if kind == "video":
        return video_sample(run.ids, text, images, [codes] * params.num_future)
    rounds = params.rounds or 1
    return world_sample(run.ids, text, [codes] * (rounds + 1), np.zeros((rounds, 7), np.int64))


def counts(kind: str, run: Run) -> tuple[int, int]:
    """Return the tokens of a sample of a kind, and how many of them are answered."""
    made = sample(kind, run)
    return made.layout.length, int((made.labels >= 0).sum())


def samples_per_epoch(kind: str, run: Run) -> float:
    """Return the windows of a suite's episodes (see ``worldvla.sequences.action_windows`` and the others)."""
    assert run.train is not None
    lost = {"action": run.train.chunk - 1, "world": run.train.rounds or 1, "video": run.train.num_future}[kind]
    return TRAINED_ON[run.train.episodes] * (run.footage.steps - lost * run.footage.episodes)


def samples_trained(kind: str, run: Run) -> float:
    """Return the samples of a kind that a training sees, as the sizes of its scale say: in epochs, or in steps."""
    assert run.train is not None
    if run.train.epochs is not None:
        return run.train.epochs * samples_per_epoch(kind, run)
    assert run.train.steps is not None, "one of the two is given"
    return run.train.steps * run.train.batch


def training_flops(kind: str, run: Run, model: Size) -> float:
    """Return the FLOPs of one sample."""
    return model.training(*counts(kind, run))


def query(run: Run) -> int:
    """Return the tokens that a policy reads before it answers."""
    return action_prompt(run.ids, [0] * TEXT, [run.codes] * asked(run).history).size


def asked(run: Run) -> TrainParams | RolloutParams:
    """Return how a policy is asked: as it was trained; the authors' own checkpoints as their rollouts say."""
    how = run.train or run.rollout
    assert how is not None
    return how


def given(run: Run) -> int:
    """Return the tokens that a world model reads before it draws a frame."""
    return world_prompt(run.ids, [0] * TEXT, run.codes, np.zeros(7, np.int64)).size
