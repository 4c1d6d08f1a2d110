"""What the runner runs: the stages of the targets, as DVC knows them, or of the pages of the report."""

import contextlib
import difflib
import shlex
from collections.abc import Iterable
from pathlib import Path

from dvc.dvcfile import PROJECT_FILE
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.rwlock import RWLOCK_FILE
from dvc.stage import Stage

from worldvla.reporting.contents import STAGES
from worldvla.running import dvc_files

WAITING = "parallel: waiting for another DVC process in this repository to end"
RESOLVE, REPORT = "resolve", "report"  # the stages that every page needs


def is_alone(stage: Stage) -> bool:
    """Return whether nothing may run beside a stage (``meta: {alone: true}``): it uses every core itself."""
    return bool((stage.meta or {}).get("alone"))


def script(stage: Stage) -> str:
    """Return what a stage runs, without its arguments: python -m pipeline.train"""
    return " ".join(str(stage.cmd).split()[:3])


def plan(repo: Repo, targets: list[str]) -> dict[Stage, set[Stage]]:
    """Return the stages that ``dvc repro TARGET...`` goes through, in its order, with those that each depends on.

    A target may also be a page of the report: then the report runs after the stages of that page alone, and says of the
    others' runs that they are missing.

    Raises:
        ValueError: DVC knows no such target.
    """
    stages, pages = [], []
    graph = get_active_graph(repo.index.graph)
    reports = [stage for stage in graph if stage.addressing == REPORT]
    known_pages = STAGES if reports else {}
    for target in targets or [PROJECT_FILE]:
        if target in known_pages:
            pages.append(target)
            beginnings = (RESOLVE, *known_pages[target])
            stages += [stage for stage in graph if stage.addressing.startswith(beginnings)]
            continue
        try:
            stages += collect_stages(repo, [target])
        except DvcException as error:
            if not targets:
                raise
            known = [*dict.fromkeys(stage.addressing.split("@")[0] for stage in graph), *known_pages]
            near = difflib.get_close_matches(target, [*known, *(stage.addressing for stage in graph)], n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known stages: {', '.join(known)}"
            raise ValueError(f"unknown target '{target}'; {hint}") from error
    upstream = {stage: set(graph.successors(stage)) for stage in plan_repro(graph, stages)}
    if pages and reports[0] not in upstream:
        upstream[reports[0]] = set(upstream)
    return upstream


def begin(repo: Repo, targets: list[str]) -> dict[Stage, set[Stage]]:
    """Mend what a kill has left of DVC's files, and plan; another DVC process, which may write them, is waited for."""
    with contextlib.ExitStack() as stack:
        waits = False
        while True:
            try:
                stack.enter_context(lock_repo(repo))
                break
            except LockError:
                if not waits:
                    print(WAITING, flush=True)
                waits = True
        for line in dvc_files.mend(Path(repo.root_dir), Path(repo.tmp_dir or "", RWLOCK_FILE)):
            print(f"parallel: {line}", flush=True)
        stages = plan(repo, targets)
    refuse_links(Path(repo.root_dir), stages)
    return stages


def refuse_links(root: Path, stages: Iterable[Stage]) -> None:
    """Refuse results inside a folder that is a link: DVC would, too, once the stage has run.

    Raises:
        ValueError: the first such folder.
    """
    folders = {folder for stage in stages for out in stage.outs for folder in Path(out.fs_path).parents}
    for folder in sorted(folders):
        if root in folder.parents and folder.is_symlink():
            name, target = folder.relative_to(root), folder.resolve()
            cache = shlex.quote(str(target / "dvc-cache"))
            raise ValueError(
                f"{name} is a link to {target}, through which DVC saves nothing; expected a folder; to keep only its "
                f"contents there, run: rm {name} && dvc cache dir --local {cache} && "
                "dvc config --local cache.type symlink, then run this again"
            )


def make_folders(report: Stage) -> None:
    """Make the folders that a report reads and no run has written to: DVC refuses a stage whose input is absent."""
    for dep in report.deps:
        path = Path(dep.fs_path)
        if not path.suffix:
            path.mkdir(parents=True, exist_ok=True)
