"""A copy of this project, for tests and benchmarks that run its pipeline."""

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]


class Project:
    """A copy of the tree, to be edited and then committed to a repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        listed = subprocess.check_output(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=REPOSITORY, text=True
        )
        for name in filter(None, listed.split("\0")):
            # What earlier runs left is not copied: a smoke run starts from nothing.
            if (REPOSITORY / name).is_file() and name != "dvc.lock" and not name.startswith("reports/"):
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(REPOSITORY / name, self.folder / name)
        self.env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(folder / "site_cache"),
            **{f"GIT_{who}_{what}": "smoke" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

    def set_scale(self, scale: str) -> None:
        """Set the scale in params.yaml, and one training of each model, to keep the run small."""
        params = self.folder / "params.yaml"
        text = re.sub(r"(?m)^scale: .*$", f"scale: {scale}", params.read_text())
        params.write_text(re.sub(r"(?m)^trainings: .*$", "trainings: [1]", text))

    def commit(self) -> None:
        """Make a repository of the copy as it is now."""
        for command in (
            ["git", "init", "--quiet"],
            ["git", "add", "--all"],
            ["git", "commit", "--quiet", "-m", "smoke"],
        ):
            subprocess.run(command, cwd=self.folder, env=self.env, check=True)

    def clone(self, folder: Path) -> "Project":
        """Return another copy of the same commit, without anything that runs have made, and with a cache of its own."""
        other = copy.copy(self)
        other.folder = folder / self.folder.name
        other.env = self.env | {"DVC_SITE_CACHE_DIR": str(folder / "site_cache")}
        subprocess.run(["git", "clone", "--quiet", self.folder, other.folder], check=True)
        return other

    def dvc(self, *arguments: str) -> str:
        """Run dvc and return all that it and the stages printed."""
        return self.python("-m", "dvc", *arguments)

    def python(self, *arguments: str) -> str:
        """Run Python and return all that it printed."""
        return self.run(sys.executable, *arguments)

    def run(self, *command: str) -> str:
        """Run a command and return all that it printed."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def digests(self) -> dict[str, str]:
        """Return the md5 of every out in dvc.lock that is not a wall clock."""
        stages = yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"].values()
        outs = [out for stage in stages for out in stage["outs"]]
        return {out["path"]: out["md5"] for out in outs if not out["path"].startswith(("data/timing/", "data/speed/"))}
