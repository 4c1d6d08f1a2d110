"""The code of a stage: the files that decide its bytes.

Those are what its script imports, functions' own imports too, and the data files beside them. Not among them is the package
``worldvla/running``: how a stage talks, spreads its work over processes and goes on after an interruption. Nothing of it may
decide a byte, and what it returns is never written to a result.
"""

from pathlib import Path

import grimp

import worldvla
from worldvla.files import file_digest, value_digest

PACKAGES = ("pipeline", "worldvla")
RUNNING = "worldvla.running"
LISTINGS = Path("data/stage_code")  # what the stage stage_code writes, and all other stages depend on


def scripts() -> list[str]:
    """Return the names of the stages' scripts, ``pipeline/<name>.py``: those that the console runs."""
    importers = _graph().find_modules_that_directly_import(f"{RUNNING}.console")
    return sorted(module.removeprefix("pipeline.") for module in importers if module.startswith("pipeline."))


def code_of(script: str) -> list[str]:
    """Return the files of this repository that decide what a stage's script writes, by path, sorted.

    None, of a script that is not there.
    """
    graph, module = _graph(), f"pipeline.{script}"
    if module not in graph.modules:
        return []
    upstream = {module, *graph.find_upstream_modules(module)}
    # Packages' own files hold no code (tests/test_pipeline.py).
    files = {file for name in upstream if not name.startswith(RUNNING) and (file := _file(name)).is_file()}
    data = {path for file in files for path in _data_beside(file.parent)}
    return sorted(path.relative_to(_root()).as_posix() for path in files | data)


def code_digest(script: str) -> str:
    """Return the sha256 over the paths and contents of a script's code."""
    return value_digest([[path, _digest(path)] for path in code_of(script)])


def listing(script: str) -> str:
    """Return a script's code as ``sha256sum`` lists files."""
    return "".join(f"{_digest(path)}  {path}\n" for path in code_of(script))


def check_listed(script: str) -> None:
    """Raise if the code that is about to run is not the code that DVC takes it for.

    Raises:
        ValueError: a file was changed after the stage stage_code had listed it.
    """
    path = LISTINGS / f"{script}.sha256"
    listed = path.read_text(encoding="utf-8") if path.is_file() else None
    if listed is not None and listed != (now := listing(script)):
        name = min(line.split()[-1] for line in {*listed.splitlines()} ^ {*now.splitlines()})
        raise ValueError(
            f"{name} was changed since the run began; expected the code that {path} lists; run: dvc repro stage_code, then "
            "the same command"
        )


def _graph() -> grimp.ImportGraph:
    """Return who imports whom: in a tenth of a second, so that nothing keeps an old one."""
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def _file(module: str) -> Path:
    """Return where a module's file lies, if it is no package."""
    return _root().joinpath(*module.split(".")).with_suffix(".py")


def _data_beside(folder: Path) -> list[Path]:
    """Return the data files of a package: those in its folder, and in folders there that hold no code."""
    if folder == _root() / "pipeline":
        return []
    inside = [path for path in folder.iterdir() if path.is_dir() and not any(path.rglob("*.py"))]
    files = [
        path for part in (folder.glob("*"), *(path.rglob("*") for path in inside)) for path in part if path.is_file()
    ]
    # Not what Python, editors and desktops leave. What Python is about to leave has other suffixes.
    return [
        path
        for path in files
        if path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts and not path.name.startswith(".")
    ]


def _digest(path: str) -> str:
    return file_digest(_root() / path)


def _root() -> Path:
    return Path(worldvla.__file__).parent.parent
