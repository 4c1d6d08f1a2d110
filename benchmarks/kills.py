"""Kills at random moments of a run of the whole pipeline at ``smoke``, and whether every rerun ends with the same bytes.

    python -m benchmarks.kills --kills 200 --seed 0 [--targets STAGE...] [--folder FOLDER]

A copy of the project runs once undisturbed. Then a clone of it, with a DVC cache of its own, runs as ``pipeline.parallel
--jobs 2`` again and again until it ends well, while SIGKILL meets a worker, a stage, DVC's process, the runner or everything
of ours: whichever of these is there, rather the ones rarely killed so far, some seconds after the last kill or after a stage
was seen (an exponential draw; one time in five the clock runs from the runner's start). While all stages at work have been
hit ``--per-stage`` times in this clone they are left alone, so that each run comes further. If a clone is done before all
kills are, another one begins. A kill takes seven seconds if nothing else runs, a clone some minutes besides. What is checked:

- No process lives on for 10 s after the chain of its ancestors was cut anywhere below the runner, or the runner ended. A
  marker in the environment finds it wherever it went. Nothing else is killed meanwhile, and what lives on is then killed.
- No training is done again: after its output was put in its place, no stage takes a step of an optimizer for the same output
  in the same clone. ``probe/sitecustomize.py`` notes both as they happen. That is stricter than its last line "wrote ...",
  which is printed a moment later. Steps that an unfinished training repeats are counted, and allowed.
- A run that nothing was killed in ends well, and none is silent for 10 minutes.
- In the end all digests of dvc.lock and all files of the outputs are the reference's, those of wall clocks left out (the
  report is written again with the reference's clocks, and compared), every file of DVC's cache is what its name says, and
  ``dvc repro`` finds nothing to do.

That a run survives the death of a worker is noted, not required: its stage must be "done" before another kill meets it.
FOLDER keeps everything: log.jsonl, and the copies beside what their runs printed. Exits with 1 if anything did not hold.
Needs a system that shows the environment of a process, as Linux does.
"""

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.kills_summary import Kill, outcomes, summary
from benchmarks.marked_processes import MARKER, Watch, choose, describe, stage_of
from benchmarks.probe.sitecustomize import NOTES
from benchmarks.project_copy import Project
from benchmarks.same_results import faults, notes, trainings
from worldvla.running.stage_times import clock

ORPHAN_S, SILENT_S, POLL_S = 10, 600, 0.1
FROM_START = 0.2  # of the runs: their first kill is timed from the runner's start
GIVE_UP = 3  # runs in a row that fail by themselves


class Kills:
    """The runs of the copies, and what was found."""

    def __init__(self, folder: Path, targets: list[str], mean_s: float, per_stage: int, seed: int) -> None:
        self.targets, self.mean_s, self.per_stage = targets, mean_s, per_stage
        self.left = 0  # kills to come
        self.hits: collections.Counter[str] = collections.Counter()  # of the stages of this copy
        self.draw = random.Random(seed)
        self.watch = Watch(f"{os.getpid()}-{time.time()}")
        self.kills: list[Kill] = []
        self.violations: list[str] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.started = time.monotonic()
        self.log = (folder / "log.jsonl").open("a", encoding="utf-8")

    def note(self, event: str, **more: object) -> None:
        """Write a line of the log."""
        seconds = round(time.monotonic() - self.started, 1)
        self.log.write(json.dumps({"seconds": seconds, "event": event, **more}) + "\n")
        self.log.flush()

    def violate(self, what: str) -> None:
        """Take note of something that should not have been."""
        self.violations.append(what)
        self.note("violation", what=what)
        print(f"kills: VIOLATION: {what}", flush=True)

    def to_the_end(self, project: Project) -> bool:
        """Run a copy until a run ends well; return whether one did."""
        failed = 0
        self.hits.clear()
        while failed < GIVE_UP:
            num_before = len(self.kills)
            code = self.run(project)
            self.counts["runs"] += 1
            if code == 0:
                return True
            failed = failed + 1 if len(self.kills) == num_before else 0
            if failed:
                printed = (project.folder.parent / "run.log").read_text(errors="replace")
                self.violate(f"a run in which nothing was killed ended with {code}: ...{printed[-1000:]}")
        return False

    def run(self, project: Project) -> int:
        """Run a copy once, with kills as they fall due; return the runner's exit code when nothing of it is left."""
        folder, num_before = project.folder.parent, len(self.kills)
        env = {
            MARKER: self.watch.marker,
            NOTES: str(folder / "steps.txt"),
            "PYTHONPATH": str(project.folder / "benchmarks" / "probe"),
        }
        with (folder / "run.log").open("ab") as output:
            os.utime(output.fileno())
            runner = subprocess.Popen(
                [sys.executable, "-m", "pipeline.parallel", "--jobs", "2", *self.targets],
                cwd=project.folder,
                env=project.env | env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.note("run", pid=runner.pid, copy=folder.name)
        due = time.monotonic() + self.delay() if self.draw.random() < FROM_START else None
        while runner.poll() is None:
            self.look(runner.pid)
            printed = (folder / "run.log").stat()
            if self.left and not self.watch.orphans:
                phases = self.watch.phases()
                if phases and all(self.hits[name] >= self.per_stage for name in phases):
                    due = None
                elif due is None and phases:
                    due = time.monotonic() + self.delay()
                if due is not None and time.monotonic() >= due:
                    self.kill(printed.st_size)
                    due = None
            if time.time() - printed.st_mtime > SILENT_S:
                self.violate(f"nothing was printed for {SILENT_S} s by {[*map(describe, self.watch.tree.values())]}")
                self.watch.kill_all()
            time.sleep(POLL_S)
        self.look(None)
        while self.watch.tree:
            time.sleep(POLL_S)
            self.look(None)
        self.note("run ended", code=runner.returncode)
        for kill, outcome in outcomes(self.kills[num_before:], (folder / "run.log").read_bytes()):
            self.outcomes[outcome] += 1
            self.note("a worker's stage", kill=kill.number, outcome=outcome)
        return runner.returncode

    def delay(self) -> float:
        """Draw the seconds until a kill."""
        return self.draw.expovariate(1 / self.mean_s)

    def look(self, runner: int | None) -> None:
        """Look at what lives, and end what should not."""
        self.watch.look(runner)
        for seconds, process in self.watch.overdue(ORPHAN_S):
            after = f"kill {self.kills[-1].number} ({self.kills[-1].kind})" if self.kills else "no kill"
            self.violate(f"an orphan lives for {seconds:.1f} s after {after}: {describe(process)}")
            process.kill()

    def kill(self, offset: int) -> None:
        """Kill one of what lives now, or everything."""
        chosen = choose(self.watch.tree, self.counts, self.draw)
        if chosen is None:
            return
        kind, victims = chosen
        stage, phases = "" if kind == "everything" else stage_of(self.watch.tree, victims[0]), self.watch.phases()
        if kind == "everything":
            self.watch.kill_all()
        else:
            victims[0].kill()
        at_work = {stage: phases.get(stage, "running")} if stage else phases
        self.kills.append(Kill(len(self.kills) + 1, kind, stage, at_work, offset))
        self.left -= 1
        self.counts[kind] += 1
        self.hits.update(at_work.keys())
        self.note("kill", **asdict(self.kills[-1]), killed=[*map(describe, victims)])
        elapsed, num_kills = time.monotonic() - self.started, len(self.kills)
        where = ", ".join(f"{name} {phase}" for name, phase in at_work.items()) or "between stages"
        time_left = f"{clock(elapsed)}, about {clock(elapsed / num_kills * self.left)} left"
        print(f"kills: {num_kills} of {num_kills + self.left}: {kind} ({where}); {time_left}", flush=True)

    def compare(self, project: Project, reference: Project) -> None:
        """Hold a copy whose pipeline ran to the end against the reference."""
        steps, again = trainings(notes(project))
        self.counts["steps"] += sum(steps.values())
        self.counts["needed"] += sum(trainings(notes(reference))[0].values())
        self.counts["again"] += sum(again.values())
        found = [f"{out} was trained again after its end, {times} times" for out, times in again.items()]
        found += faults(project, reference, self.targets)
        for what in found:
            self.violate(f"{project.folder.parent.name}: {what}")
        self.counts["left behind"] += len([*project.folder.glob("data/**/*partial*")])

    def summary(self, num_copies: int) -> str:
        """Return the figures as Markdown, and what should not have been."""
        seconds, orphan = self.watch.longest
        figures = {
            "kills left": self.left,
            "copies; runs of them": f"{num_copies}; {self.counts['runs']}",
            "longest life of an orphan": f"{seconds:.1f} s ({orphan})" if orphan else "none was seen",
            "trainings done again": self.counts["again"],
            "steps of optimizers; needed": f"{self.counts['steps']}; {self.counts['needed']}",
            "unfinished files left in data/": self.counts["left behind"],
            "wall time": clock(time.monotonic() - self.started),
            "violations": len(self.violations),
        }
        violations = [f"- {' '.join(what.split())[:300]}" for what in self.violations]
        return "\n".join([summary(self.kills, self.outcomes, figures), *violations])


def main() -> None:
    """Run it all, print the table, and exit."""
    parser = argparse.ArgumentParser(prog="kills", description="SIGKILL at random moments of the pipeline at smoke")
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of kinds, victims and moments (%(default)s)")
    parser.add_argument("--mean", type=float, default=4, metavar="S", help="seconds until a kill (%(default)s)")
    parser.add_argument("--per-stage", type=int, default=4, metavar="N", help="kills at most in a copy (%(default)s)")
    parser.add_argument("--targets", nargs="*", default=[], metavar="STAGE", help="as for dvc repro; all if none")
    parser.add_argument("--folder", type=Path, help="one that is empty or absent; a temporary one if not given")
    arguments = parser.parse_args()
    folder = (arguments.folder or Path(tempfile.mkdtemp(prefix="kills-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"kills: {folder} is not empty; expected an empty or absent folder")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    print(f"kills: everything is in {folder}; first a run without kills", flush=True)
    reference = Project(folder / "reference")
    reference.set_scale("smoke")
    reference.commit()
    kills = Kills(folder, arguments.targets, arguments.mean, arguments.per_stage, arguments.seed)
    num_copies, ended = 0, False
    try:
        if kills.run(reference) == 0:
            trained = trainings(notes(reference))[0]
            for out in reference.digests():
                if out.startswith("data/models/") and not trained.get(out):
                    kills.violate(f"the probe saw no step of {out}: it cannot tell whether trainings are done again")
            kills.left, kills.started, ended = arguments.kills, time.monotonic(), True
        while ended and (kills.left or not num_copies):
            num_copies += 1
            clone = reference.clone(folder / f"copy{num_copies}")
            if ended := kills.to_the_end(clone):
                kills.compare(clone, reference)
        if not ended:
            where = f"copy{num_copies}" if num_copies else "reference"
            kills.violate(f"gave up, for runs fail by themselves; what was printed is in {where}/run.log")
    finally:  # an interruption shows what was found until then
        kills.watch.kill_all()
        print(kills.summary(num_copies), flush=True)
    sys.exit(bool(kills.violations))


if __name__ == "__main__":
    main()
