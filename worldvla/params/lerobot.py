"""Whether the frames of a LeRobot dataset are what params.yaml asks for; they are taken as they are, not rendered again."""

from collections.abc import Mapping
from pathlib import Path

from worldvla.data.lerobot.info import Info, dataset_folder, read_info
from worldvla.params.benchmarks import suite_folder
from worldvla.params.experiment import ExperimentParams


def frame_faults(experiment: ExperimentParams, pixels: Mapping[str, object], suite: str, root: Path) -> list[str]:
    """Return a sentence for every size of images, and for looks, that a suite's dataset does not have.

    Args:
        experiment: params.yaml.
        pixels: the side of the images of each size in use.
        suite: the suite.
        root: the folder of params.yaml.
    """
    if experiment.demonstrations != "lerobot" or experiment.demonstrations_folder is None:
        return []
    folder = dataset_folder(root / experiment.demonstrations_folder, suite_folder(experiment.benchmark, suite))
    try:
        info = read_info(folder)
    except ValueError:
        return []  # said where its files are recorded
    faults = [wrong_size(info, size, side) for size, side in pixels.items() if side != info.pixels]
    looks = info.looks or "published"  # what is not ours is of LIBERO as it is
    if experiment.benchmark == "libero" and looks != experiment.looks:
        faults.append(
            f"looks is '{experiment.looks}', but {folder} shows scenes of {looks} looks, and policies are to be shown what they "
            f"were trained on; make looks {looks}"
        )
    return faults


def wrong_size(info: Info, size: str, side: object) -> str:
    """Return why images of another size are refused: scaled ones are not what the simulator shows in a rollout."""
    other = (
        "make images [main] and other_pixels {}" if size == "other" else f"set pixels.main in conf/ to {info.pixels}"
    )
    return (
        f"{info.folder}: its images have {info.pixels} x {info.pixels} pixels, but the {size} size is {side}, at which rollouts "
        f"are rendered; {other}, or name another demonstrations_folder"
    )
