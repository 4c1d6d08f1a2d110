"""Small made-up outputs of the stages before the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline import report
from worldvla.simulation.videos import video_name, write_video

TASKS = ["put_the_can_in_the_basket", "put_the_can_in_the_tray"]
MADE_BY = ("recipe", "trained_by", "code")  # what else all trainings of a row share
WORLDS = ("world", "action_world_chunk_mask")
# Of ten initial states per task, the first that a variant solves.
SOLVED = {
    "action": 4,
    "action_chunk": 2,
    "action_chunk_mask": 7,
    "action_world_chunk_mask": 8,
    "action_video_chunk_mask": 5,
    "action_from_world": 9,
    "action_h1": 1,
    "action_h4": 5,
    "action_chunk_mask_h1": 4,
    "action_chunk_mask_h4": 7,
    "action_chunk_k3": 5,
    "action_chunk_mask_k3": 6,
    "action_chunk_k10": 1,
    "action_chunk_mask_k10": 9,
    "all_data": 9,
    "all_data_other": 6,
}
TIMED = {"action_h1": 4.0, "action": 3.0, "action_chunk_mask": 21.5}  # actions per second; of the six of table 5, three
SUBSTITUTE = "FD[i3d-random seed0 64px]"
PSNR = {"world": 20.0, "action_world_chunk_mask": 21.0, "copy": 18.0, "reconstruction": 30.0}


def history(variant: str) -> int:
    """Return the frames of a variant, which end its name if they are not two."""
    return int(variant[-1]) if variant.endswith(("_h1", "_h4")) else 2


def chunk(variant: str) -> str:
    """Return the actions per answer by suite: one, or the suite's, or a number that ends the name."""
    number = variant.partition("_k")[2] or ("" if "chunk" in variant else "1")
    return f"goal: {number or 5}, spatial: {number or 5}, long: {number or 10}, object: {number or 5}"


def report_params(
    suites: str = "[goal]",
    horizons: str = "[10, 20]",
    split: str = "paper",
    ablation_tasks: str = "seen",
    trainings: str = "[1]",
    least: int = 2,
) -> str:
    """Return the params of the report stage; row 2 of table 3 is not among the variants, and claims need ``least`` trainings."""
    lines = []
    for name in (*SOLVED, "world"):
        start = "world" if name == "action_from_world" else "null"
        flags = f"rollout: {str(name != 'world').lower()}, generate: {str(name in WORLDS).lower()}"
        images = "images: other, pixels: 32" if name == "all_data_other" else "images: main, pixels: 64"
        lines.append(
            f"    {name}: {{samples: [action], mask: causal, history: {history(name)}, chunk: {{{chunk(name)}}}, "
            f"start: {start}, {flags}, speed: true, {images}, "
            f"episodes: {'all' if name.startswith('all_data') else 'train'}, times: 1, trainings: {trainings}, once: false}}"
        )
    return (
        "report:\n  scale: mini\n  optimizer: Muon\n  batch: 16\n  seed: 0\n  benchmark: mini\n  demonstrations: scripted\n"
        f"  suites: {suites}\n  num_tasks: {{goal: [2, 2], spatial: [2, 2], object: [2, 2], long: [2, 2]}}\n  looks: simple\n  horizons: {horizons}\n"
        f"  split: {split}\n  ablation_tasks: {ablation_tasks}\n"
        f"  claims: {{margin_points: 3.0, margin_db: 0.1, trainings: {least}, power: 0.8}}\n"
        "  planning: {action_world_chunk_mask: {candidates: 4, temperature: 0.3}}\n"
        "  released: []\n  variants:\n" + "\n".join(lines) + "\n"
    )


def write_rollouts(
    folder: Path,
    variant: str,
    suite: str = "goal",
    solved: set[tuple[int, int]] | None = None,
    tasks: list[str] = TASKS,
    num_states: int = 10,
) -> None:
    """Initial states of some tasks; the first ones succeed, or exactly those in ``solved``. The first is filmed."""
    rows = [
        {
            "suite": suite,
            "task": task,
            "task_index": index,
            "init_state": init,
            "success": init < SOLVED[variant] if solved is None else (index, init) in solved,
            "num_steps": 20,
            "policy_failures": int(variant == "action_chunk" and init == 9),
            "things": 1,
            "touched": 1,
            "grasped": int(init < 9),
            "lifted": int(init < 8),
        }
        for index, task in enumerate(tasks)
        for init in range(num_states)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.mp4"):
        old.unlink()
    pq.write_table(pa.Table.from_pylist(rows), folder / "episodes.parquet")
    made_of = {kind: kind[0] * 64 for kind in ("params", "data", "tokenizer", "weights", "model", *MADE_BY)}
    made_of["simulator"] = "mujoco 3.3.2, robosuite 1.4.0, hf-libero 0.1.4"
    (folder / "made_of.json").write_text(json.dumps(made_of))
    frames = np.stack([np.full((32, 32, 3), 10 * step, np.uint8) for step in range(9)])
    for row in rows:
        if row["init_state"] in (0, 9):
            write_video(folder / video_name(row["task_index"], row["init_state"], row["success"]), frames)


def write_clips(
    folder: Path,
    *,
    num_clips: int = 6,
    horizons: tuple[int, ...] = (10, 20),
    extractor: str = SUBSTITUTE,
    lpips: bool = False,
    num_films: int = 2,
    trainings: tuple[int, ...] = (1,),
) -> None:
    """Scores of clips whose PSNR goes up by a tenth from clip to clip; films of grey frames that grow lighter.

    The second training of a model is a dB better than the first, and so on.
    """
    clips, sets = [], []
    models = [f"{name}-{number}" for name in WORLDS for number in trainings]
    sources = [(variant, f"{variant}-{n}", PSNR[variant] + n - 1) for variant in WORLDS for n in trainings]
    for source, name, psnr in [*sources, *((base, base, PSNR[base]) for base in PSNR if base not in WORLDS)]:
        for actions in ("true", "shuffled") if source in WORLDS else ("none",):
            for horizon in horizons:
                # Of the two, only the action world model looks at the action.
                loss = 2.0 if (source, actions) == ("action_world_chunk_mask", "shuffled") else 0.0
                for clip in range(num_clips):
                    wobble = 0.1 * clip + (0.01 * (-1) ** clip if source == "world" else 0.0)
                    scores = {
                        "psnr": psnr - horizon / 10 - loss + wobble,
                        "ssim": psnr / 40,
                        "lpips_vgg": 4 / psnr if lpips else None,
                        "lpips_alex": 2 / psnr if lpips else None,
                    }
                    clips.append(
                        {
                            "source": name,
                            "actions": actions,
                            "horizon": horizon,
                            "task": TASKS[clip % 2],
                            "demo": f"demo_{clip}",
                            "language": TASKS[clip % 2].replace("_", " "),
                            **scores,
                            **{f"{name}_with_first": value and value + 5 for name, value in scores.items()},
                            "code_accuracy": 0.5 if actions == "true" else None,
                        }
                    )
                if actions == "shuffled":  # the control is scored frame by frame alone
                    continue
                lone = num_clips < 2
                sets.append(
                    {
                        "source": name,
                        "actions": actions,
                        "horizon": horizon,
                        "num_clips": num_clips,
                        "extractor": extractor,
                        "extractor_digest": "e" * 64,
                        "distance": float("nan") if lone else 321.5 - psnr,
                        "low": float("nan") if lone else 300.5 - psnr,
                        "high": float("nan") if lone else 340.5 - psnr,
                        "upstream_distance": float("nan") if lone else 287.5 - psnr,
                        "floor": float("nan") if lone else 44.5,
                    }
                )
    folder.mkdir(parents=True, exist_ok=True)
    scores = ("psnr", "ssim", "lpips_vgg", "lpips_alex")
    schema = pa.schema(
        [(name, pa.string()) for name in ("source", "actions", "task", "demo", "language")]
        + [("horizon", pa.int32()), ("code_accuracy", pa.float64())]
        + [(name + suffix, pa.float64()) for suffix in ("", "_with_first") for name in scores]
    )
    pq.write_table(pa.Table.from_pylist(clips, schema), folder / "clips.parquet")
    pq.write_table(pa.Table.from_pylist(sets), folder / "sets.parquet")
    kinds = ("params", "data", "tokenizer", *[f"generated/{name}" for name in models])
    (folder / "made_of.json").write_text(json.dumps({kind: kind[0] * 64 for kind in kinds}))
    (folder / "models.json").write_text(json.dumps({name: dict.fromkeys(MADE_BY, "m" * 64) for name in models}))
    grey = np.linspace(0, 240, horizons[-1]).astype(np.uint8)
    frames = np.broadcast_to(grey[:, None, None, None], (len(grey), 32, 32, 3))
    films = [(TASKS[number % 2], {name: frames for name in ("truth", *models)}) for number in range(num_films)]
    write_films(folder / "films", films)


def write_films(folder: Path, films: list[tuple[str, dict[str, Any]]]) -> None:
    """Write frames [T, H, W, 3] by source of each clip, tiled side by side."""
    listed = []
    for number, (task, sources) in enumerate(films):
        (folder / str(number)).mkdir(parents=True, exist_ok=True)
        for source, frames in sources.items():
            Image.fromarray(np.concatenate(list(frames), axis=1)).save(folder / str(number) / f"{source}.png")
        length, pixels = sources["truth"].shape[:2]
        listed.append(
            {
                "number": number,
                "task": task,
                "demo": f"demo_{number}",
                "language": task.replace("_", " "),
                "num_frames": length,
                "pixels": pixels,
            }
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "films.json").write_text(json.dumps(listed))


def make_project(folder: Path, suites: str = "[goal]") -> Path:
    """Write params, rollouts of every variant but row 2 of table 3, scored clips, and some timing files."""
    (folder / "report.yaml").write_text(report_params(suites))
    for variant in SOLVED:
        write_rollouts(folder / "rollouts" / f"{variant}-goal-1", variant)
    write_clips(folder / "videos" / "goal")
    timing = {"seconds": 43.2, "commit": "abc123", "date": "2025-01-01 00:00 UTC", "hardware": "Abacus, 2 cores"}
    for path in (
        "rollout/action-goal-1",
        "finetune/action_from_world-goal-1",
        "video_metrics/goal",
        "train/world-goal-1",
    ):
        (folder / "timing" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "timing" / f"{path}.json").write_text(json.dumps(timing))
    write_curve(folder / "models" / "action-goal-1", num_steps=100, validated=(50, 100))
    write_curve(folder / "models" / "all_data-goal-1", num_steps=90, validated=())
    write_tokenizer(folder / "tokenizers" / "goal-main")
    write_speeds(folder / "speed" / "goal.json")
    return folder


def write_curve(folder: Path, num_steps: int, validated: tuple[int, ...]) -> None:
    """Write the curve of a training whose loss is 1 over its steps; validations are half of it."""
    steps = range(1, num_steps + 1)
    rows = [
        {"step": step, "cross_entropy": 1 / step, "validation_loss": 0.5 / step if step in validated else None}
        for step in steps
    ]
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "curve.parquet")


def write_tokenizer(folder: Path) -> None:
    """Write what a tokenizer says of itself."""
    folder.mkdir(parents=True)
    summary = {"psnr": 23.14, "foreground_psnr": 22.88, "num_codes_used": 512, "num_frames": 400}
    (folder / "summary.json").write_text(json.dumps(summary))
    Image.new("RGB", (8, 8)).save(folder / "reconstructions.png")


def write_speeds(path: Path) -> None:
    """Write how long queries took, as the stage speed does: of the rounds every third is slowed, by half, for all policies."""
    slowed = [1.5 if number % 3 == 2 else 1.0 for number in range(9)]
    policies = {
        variant: {
            "chunk": 5 if "chunk" in variant else 1,
            "actions_per_s": actions_per_s,
            "query_ms": [1000 * (5 if "chunk" in variant else 1) / actions_per_s * factor for factor in slowed],
        }
        for variant, actions_per_s in TIMED.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"seconds": 3.2, "commit": "def456", "date": "2025-01-02 00:00 UTC", "hardware": "Slide rule, 1 core"}
    path.write_text(json.dumps(record | {"policies": policies}))


def write_reports(project: Path) -> Path:
    """Run the stage; return its folder."""
    report.main(
        params=project / "report.yaml",
        models=project / "models",
        tokenizers=project / "tokenizers",
        rollouts=project / "rollouts",
        videos=project / "videos",
        speed=project / "speed",
        timing=project / "timing",
        out=project / "reports",
    )
    return project / "reports"


def cells(text: str, *starts: str) -> list[str]:
    """Return the cells of the first table row that begins with these cells."""
    for line in text.splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and tuple(row[: len(starts)]) == starts:
            return row
    raise AssertionError(f"no row {starts} in\n{text}")


def section(text: str, heading: str) -> str:
    """Return a page from a heading to the next one."""
    assert f"# {heading}\n" in text, (heading, text)
    return text.split(f"# {heading}\n", 1)[1].split("\n#", 1)[0]
