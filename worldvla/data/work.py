"""Where an interrupted stage leaves what it has finished."""

from pathlib import Path

import worldvla
from worldvla.files import file_digest, value_digest


def work_folder(stage: str, inputs: object) -> Path:
    """Return ``work/<stage>/<digest>``, git-ignored, for one set of inputs and this very code.

    A stage continues only from work that the same params, the same data and the same code began: anything else has
    another folder.

    Args:
        stage: the stage's name.
        inputs: JSON-serialisable; params and digests of the data read.
    """
    package = Path(worldvla.__file__).parent
    code = [[path.relative_to(package).as_posix(), file_digest(path)] for path in sorted(package.rglob("*.py"))]
    return Path("work") / stage / value_digest([inputs, code])[:16]
