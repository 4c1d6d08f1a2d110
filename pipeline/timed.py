"""Stage timed: name a policy that the stage speed is to time, and the bytes that it is.

Writes a JSON file with the folder of the model and its sha256. The stage speed asks all policies of a suite in one process, and
DVC cannot expand a list of dependencies (`speed` in params.yaml): it depends on the folder of these files instead, so that it
waits for the policies that are timed, and runs again if one of them changes, but no other model.
"""

from pathlib import Path

from worldvla.files import folder_digest, write_json
from worldvla.running import console


def main(*, model: Path, out: Path) -> None:
    """Write which model it is."""
    write_json(out, {"model": model.as_posix(), "sha256": folder_digest(model)})
    print(f"wrote {out}. Next: dvc repro speed")


if __name__ == "__main__":
    console.run(main)
