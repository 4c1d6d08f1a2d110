"""``params.yaml`` and ``conf/<scale>.yaml`` merged into effective values: a file per suite, per run, and for the report.

A run is a training of a variant on a suite. Every later stage depends on its own section of its own file, and a file's bytes change
only when one of its values does: so a change re-runs what it changes and nothing else.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from worldvla.params import strict
from worldvla.params.benchmarks import max_steps, suite_entry
from worldvla.params.clips import clip_faults, clip_frames
from worldvla.params.contradictions import contradictions
from worldvla.params.download import DownloadParams
from worldvla.params.encode import EncodeParams
from worldvla.params.experiment import ExperimentParams, VariantParams
from worldvla.params.filter import FilterParams
from worldvla.params.generate import GenerateParams
from worldvla.params.lerobot import frame_faults
from worldvla.params.named_files import Digests
from worldvla.params.pixels import Images, PixelsParams
from worldvla.params.released import CHECKPOINTS, ReleasedModelParams, ReleasedTokenizerParams
from worldvla.params.reported import reported
from worldvla.params.rollout import RolloutParams
from worldvla.params.rollout_planned import RolloutPlannedParams
from worldvla.params.speed import SpeedParams
from worldvla.params.split import SplitParams
from worldvla.params.tasks import TaskNames, chosen_indices
from worldvla.params.tokenizer import TokenizerParams
from worldvla.params.train import FinetuneParams, TrainParams
from worldvla.params.trainings import model_name, run_name, training_seed
from worldvla.params.video_metrics import VideoMetricsParams

SECTIONS = {
    "pixels": PixelsParams,
    "download": DownloadParams,
    "filter": FilterParams,
    "split": SplitParams,
    "tokenizer": TokenizerParams,
    "encode": EncodeParams,
    "train": TrainParams,
    "finetune": FinetuneParams,
    "released_tokenizer": ReleasedTokenizerParams,
    "released_model": ReleasedModelParams,
    "rollout": RolloutParams,
    "rollout_planned": RolloutPlannedParams,
    "speed": SpeedParams,
    "generate": GenerateParams,
    "video_metrics": VideoMetricsParams,
}
# Sections that conf/<scale>.yaml does not have: no size, those of pixels and train, or the published ones.
SIZELESS = ("filter", "split", "finetune", "released_tokenizer", "released_model")

HEADER = "# Effective values, written by the stage resolve: edit params.yaml and conf/ instead.\n"


def resolve(params: Path, conf: Path, task_names: TaskNames) -> dict[str, str]:
    """Return the resolved files: name without ``.yaml`` -> text.

    Args:
        params: the file that a person edits.
        conf: folder with one file of sizes per scale.
        task_names: returns the names of all tasks of a benchmark's suite.

    Raises:
        ValueError: one line for every fault and contradiction in the two files.
    """
    experiment = strict.build(ExperimentParams, strict.read_yaml(params), f"{params}:")
    faults = contradictions(experiment, params, task_names)
    scales = sorted(path.stem for path in conf.glob("*.yaml"))
    if experiment.scale not in scales:
        faults.append(f"{params}: scale is '{experiment.scale}'; the files of {conf}/ give: {', '.join(scales)}")
    if faults:
        raise ValueError("\n".join(faults))
    files = _Resolver(experiment, params, conf / f"{experiment.scale}.yaml", task_names).files()
    return {name: HEADER + yaml.safe_dump(_plain(sections), sort_keys=True) for name, sections in files.items()}


class _Resolver:
    """Merges one experiment with the sizes of its scale; collects the faults of all files."""

    def __init__(self, experiment: ExperimentParams, params: Path, conf: Path, task_names: TaskNames) -> None:
        """Read the sizes."""
        self.names = {suite: task_names(experiment.benchmark, suite) for suite in experiment.suites}
        self.experiment = experiment
        self.params, self.conf, self.digests = params, conf, Digests(params.parent)
        self.sizes = strict.read_yaml(conf)
        self.faults: dict[str, None] = {}  # an ordered set: runs that share a section share its faults

    def files(self) -> dict[str, dict[str, Any]]:
        """Return file name -> section -> params.

        Raises:
            ValueError: one line for every fault of the sizes.
        """
        sized = [section for section in SECTIONS if section not in SIZELESS]
        for section in self.sizes:
            if section not in sized:
                self.faults[f"{self.conf}: unknown section '{section}'; {strict.known(section, sized)}"] = None
        for section in sized:
            if not isinstance(self.sizes.setdefault(section, {}), dict):
                self.faults[f"{self.conf}: '{section}' is {self.sizes[section]}; expected 'key: value' lines"] = None
                self.sizes[section] = {}
        experiment = self.experiment
        files = {}
        for suite in experiment.suites:
            files[suite] = self._suite(suite)
            for images in experiment.images:
                files[f"{suite}-{images}"] = self._frames(suite, images)
            for name, variant in experiment.all_variants().items():
                for number in experiment.trainings_of(name):
                    files[run_name(name, suite, number)] = self._run(name, variant, suite, number)
            for name in experiment.released:
                files[f"{name}-{suite}"] = self._released(name, suite)
        for name in experiment.released:
            pixels = CHECKPOINTS[name].pixels
            files[name] = {"released_tokenizer": self._section("released_tokenizer", pixels=pixels)}
        if self.faults:
            raise ValueError("\n".join(self.faults))
        return {**files, "report": {"report": reported(experiment, self.sizes, self.names)}}

    def _suite(self, suite: str) -> dict[str, Any]:
        """Return the sections of the stages that run once per suite."""
        experiment = self.experiment
        names = [self.names[suite][index] for index in self._tasks(suite)]
        faults = clip_faults(experiment, self.sizes, suite, names)
        self.faults.update(dict.fromkeys(f"{self.conf}: {fault}" for fault in faults))
        pixels = {size: self._shared("pixels", size) for size in experiment.images}
        faults = frame_faults(experiment, pixels, suite, self.params.parent)
        self.faults.update(dict.fromkeys(f"{self.params}: {fault}" for fault in faults))
        return {
            "download": self._section(
                "download",
                benchmark=experiment.benchmark,
                suite=suite,
                tasks=self._tasks(suite),
                demonstrations=experiment.demonstrations,
                folder=experiment.demonstrations_folder,
                seed=experiment.seed,
                digests=self._recorded(self.params, lambda: self.digests.demonstrations(experiment, suite, names)),
            ),
            "split": self._section(
                "split",
                benchmark=experiment.benchmark,
                suite=suite,
                protocol=experiment.split,
                clip_frames=clip_frames(self.sizes) or _ABSENT,
            ),
            "speed": self._section("speed", policies=experiment.speed, graphs=self._shared("rollout", "graphs")),
            "video_metrics": self._section(
                "video_metrics",
                models=[
                    model_name(name, number) for name in experiment.generate for number in experiment.trainings_of(name)
                ],
                horizons=self._shared("generate", "horizons"),
                seed=experiment.seed,
                digests=self._recorded(self.conf, lambda: self.digests.named("video_metrics", self.sizes)),
            ),
        }

    def _recorded(self, file: Path, read: Callable[[], dict[str, str]]) -> dict[str, str]:
        """Return digests of files that are named in ``file``; note what is wrong with them."""
        try:
            return read()
        except ValueError as error:
            self.faults.update(dict.fromkeys(f"{file}: {fault}" for fault in str(error).splitlines()))
            return {}

    def _scenes(self, suite: str) -> dict[str, Any]:
        """Return what a stage that simulates must know of a suite."""
        return {
            "benchmark": self.experiment.benchmark,
            "suite": suite,
            "tasks": self._tasks(suite),
            "looks": self.experiment.looks,
        }

    def _tasks(self, suite: str) -> tuple[int, ...]:
        """Return the indices of a suite's tasks that are chosen."""
        return chosen_indices(self.experiment.tasks, suite, self.names[suite])

    def _frames(self, suite: str, images: Images) -> dict[str, Any]:
        """Return the sections of the stages that run once per suite and size of images."""
        experiment, pixels = self.experiment, self._shared("pixels", images)
        digests = self._recorded(self.conf, lambda: self.digests.named("tokenizer", self.sizes))
        self._section("pixels")
        return {
            "filter": self._section("filter", **self._scenes(suite), pixels=pixels, seed=experiment.seed),
            "tokenizer": self._section("tokenizer", pixels=pixels, seed=experiment.seed, digests=digests),
            "encode": self._section("encode"),
        }

    def _run(self, name: str, variant: VariantParams, suite: str, number: int) -> dict[str, Any]:
        """Return the sections of the stages that run once per training of a variant on a suite."""
        experiment = self.experiment
        asked = {
            "chunk": experiment.chunk_of(variant, suite),
            "history": variant.history or experiment.history,
            "mask": variant.mask,
        }
        draws = set(variant.samples) != {"action"}
        trained = {
            **asked,
            "seed": training_seed(experiment.seed, number),
            "samples": variant.samples,
            "prompt": experiment.prompt,
            # False where no task is named after its scene: nothing to train anew there.
            "scene_prefix": experiment.scene_prefix and any(name[0].isupper() for name in self.names[suite]),
            "episodes": variant.episodes,
            "times": variant.times,
            "vocabulary": self._shared("tokenizer", "vocabulary"),
            # Null where they mean nothing, so that a change of theirs trains again only the models that it changes.
            "rounds": experiment.rounds if "world" in variant.samples else None,
            "alpha_on": experiment.alpha_on if draws else None,
            **({} if draws else {"alpha": None}),
            **({} if "video" in variant.samples else {"future": None}),
        }
        sections = {}
        if name in experiment.finetune:
            sections["finetune"] = self._section("finetune", **trained, start=experiment.finetune_from, base=None)
        else:
            sections["train"] = self._section("train", **trained)
        if experiment.is_rolled_out(name) or name in experiment.planning:
            rollout = self._section(
                "rollout",
                **asked,
                **self._scenes(suite),
                seed=experiment.seed,
                no_bin=experiment.no_bin,
                pixels=self._shared("pixels", experiment.images_of(name)),
                max_steps=max_steps(experiment.benchmark, suite),
            )
            if experiment.is_rolled_out(name):
                sections["rollout"] = rollout
            if name in experiment.planning and rollout is not None:
                sections["rollout_planned"] = self._section("rollout_planned", **dataclasses.asdict(rollout))
        if name in experiment.generate:
            sections["generate"] = self._section("generate", split="val_ind", seed=experiment.seed)
        return sections

    def _released(self, name: str, suite: str) -> dict[str, Any]:
        """Return the sections of the stages that run once per released checkpoint and suite."""
        checkpoint, entry = CHECKPOINTS[name], suite_entry(self.experiment.benchmark, suite)
        asked = {"chunk": entry.chunk, "history": checkpoint.history, "mask": checkpoint.mask}
        shown = {**self._scenes(suite), "pixels": checkpoint.pixels, "seed": self.experiment.seed}
        folder = f"{checkpoint.folder}/{entry.libero_name}"
        return {
            "released_model": self._section("released_model", **asked, folder=folder),
            "rollout": self._section("rollout", **asked, **shown, no_bin="clamp", max_steps=entry.max_steps),
        }

    def _section(self, section: str, **given: Any) -> Any:
        """Return a section's params of its sizes and of the values that are given elsewhere; note its faults."""
        sized = "train" if section == "finetune" else section
        sizes = self.sizes.get(sized, {})
        for key in sizes:
            if given.get(key) is not None:
                self.faults[f"{self.conf}: '{sized}.{key}' is set elsewhere; remove it here"] = None
        values = {**sizes, **{key: value for key, value in given.items() if value is not _ABSENT}}
        try:
            return strict.build(SECTIONS[section], values, f"{self.conf}: {sized}")
        except ValueError as error:
            # A size that is missing where it belongs is not reported again where it is shared.
            absent = {f"'{sized}.{key}' is missing" for key, value in given.items() if value is _ABSENT}
            for fault in str(error).splitlines():
                if not any(words in fault for words in absent):
                    self.faults[fault] = None
            return None

    def _shared(self, section: str, key: str) -> Any:
        """Return a size that other sections take over."""
        return self.sizes[section].get(key, _ABSENT)


_ABSENT = object()


def _plain(value: Any) -> Any:
    """Return params as what YAML can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
