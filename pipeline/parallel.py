"""``dvc repro`` with several stages at a time: the runner of the stages beside it, not a stage.

What runs and what is up to date is DVC's affair: the graph, the targets and every "did it change?" are asked of DVC, and
each stage runs as ``dvc repro --single-item``. Afterwards ``dvc repro`` finds nothing to do. DVC lets such processes run
side by side: it holds its repository lock while it checks a stage and while it writes dvc.lock, which it reads again
first, and gives it up while the stage's command runs.
"""

import argparse
import collections
import contextlib
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path
from types import FrameType

from dvc.dirs import site_cache_dir
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.scm import SCMError
from dvc.stage import Stage
from tqdm import tqdm

from worldvla.overrides import check_params, set_params
from worldvla.running import dvc_files, environment, unfinished
from worldvla.running.cores import num_cores
from worldvla.running.machine import read_machine
from worldvla.running.stage_process import StageProcess
from worldvla.running.stage_times import StageTimes, clock
from worldvla.targets import REPORT, WAITING, begin, is_alone, make_folders, script

LOGS = "work/logs"  # what each stage said the last time


class Runner:
    """The stages of a plan: left -> ready (DVC says that it changed) -> running -> done."""

    def __init__(self, repo: Repo, upstream: dict[Stage, set[Stage]], jobs: int) -> None:
        self.repo, self.upstream, self.jobs = repo, upstream, jobs
        self.left = list(upstream)  # in DVC's order: whatever a stage depends on comes before it
        self.ready: list[Stage] = []
        self.running: dict[Stage, StageProcess] = {}
        self.done: set[Stage] = set()
        self.failed: dict[Stage, StageProcess] = {}
        self.blocked: list[Stage] = []  # that depend on one that failed: they are not run
        self.counts = collections.Counter({"ran": 0, "were up to date": 0})
        self.signals: list[int] = []
        self.started = time.monotonic()
        self.times = StageTimes(
            {stage.addressing: {other.addressing for other in others} for stage, others in upstream.items()},
            [stage.addressing for stage in upstream if is_alone(stage)],
            {stage.addressing: script(stage) for stage in upstream},
            {stage.addressing: [Path(out.fs_path) for out in stage.outs] for stage in upstream},
        )
        self.bar = tqdm(bar_format="{desc}", dynamic_ncols=True, leave=False, disable=not sys.stderr.isatty())
        self._waits_for_lock = False
        self._asks = False
        self._kept = True

    def signalled(self, signum: int, frame: FrameType | None) -> None:
        """Take note of a signal. A question to DVC, which may read all of the data, ends; it will be asked again."""
        self.signals.append(signum)
        if self._asks:
            raise KeyboardInterrupt

    def say(self, line: str) -> None:
        """Print a line above the status line. If nobody reads it any more, end as after a signal."""
        try:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()
        except OSError:
            if not self.signals:
                self.signals.append(signal.SIGPIPE)

    def run(self) -> None:
        """Run until all is done that depends on nothing that failed, or until nothing runs any more after a signal."""
        try:
            while self.running or ((self.left or self.ready) and not self.signals):
                if self.signals:
                    for child in self.running.values():
                        child.end(len(self.signals))
                else:
                    self.check()
                    self.launch()
                for child in self.running.values():
                    child.read()
                self.reap()
                names = (f"{child.name} {clock(time.monotonic() - child.started)}" for child in self.running.values())
                self.bar.set_description_str(f"{self.status()}; {', '.join(names)}")
                time.sleep(0.1)
            if not self._kept:
                with contextlib.suppress(LockError), lock_repo(self.repo):
                    self.keep()
        finally:
            # Only an error of our own leaves children here.
            for child in self.running.values():
                child.kill()
            self.bar.close()

    def check(self) -> None:
        """Ask DVC which stages changed of those whose upstream is done; the others are done."""
        if self._kept and not any(self.upstream[stage] <= self.done for stage in self.left):
            return
        try:
            self._asks = True
            with lock_repo(self.repo):
                self.keep()
                for stage in list(self.left):
                    if not self.upstream[stage] <= self.done:
                        continue
                    if changed(stage):
                        self.ready.append(stage)
                    else:
                        self.done.add(stage)
                        self.counts["were up to date"] += 1
                    self.left.remove(stage)
        except LockError:  # a stage is being saved: ask again later
            if not self.running and not self._waits_for_lock:
                self._waits_for_lock = True
                self.say(WAITING)
        except KeyboardInterrupt:
            assert self.signals
        finally:
            self._asks = False

    def keep(self) -> None:
        """After a stage was saved keep a copy of dvc.lock, and delete its unfinished work; under DVC's lock."""
        if not self._kept:
            dvc_files.keep(Path(self.repo.root_dir))
            unfinished.sweep()
            self._kept = True

    def saved(self, stage: Stage) -> None:
        """Take note that DVC has saved what a stage made."""
        self.done.add(stage)
        self._kept = False

    def launch(self) -> None:
        """Start what may start now, first what most work waits for.

        A stage that runs alone comes first where nothing runs: later, the others would have to end for it. One that nothing
        else can run beside has all cores, any other its share: it may have company before it ends.
        """
        urgency, idle = self.times.urgency(), not self.running
        share = None if idle and len(self.ready) == 1 else max(1, num_cores() // self.jobs)
        for stage in sorted(self.ready, key=lambda stage: (not (idle and is_alone(stage)), -urgency[stage.addressing])):
            alone = is_alone(stage)
            if len(self.running) == self.jobs or any(map(is_alone, self.running)) or (alone and self.running):
                return
            self.ready.remove(stage)
            log = Path(self.repo.root_dir, LOGS, f"{stage.addressing.replace('/', '_')}.log")
            self.running[stage] = StageProcess(stage.addressing, None if alone else share, log, self.say)

    def reap(self) -> None:
        """Take note of the stages that ended."""
        for stage, child in list(self.running.items()):
            if not child.ended():
                continue
            del self.running[stage]
            seconds = time.monotonic() - child.started
            if child.process.returncode == 0:
                self.saved(stage)
                self.counts[child.outcome] += 1
                if child.outcome == "ran":
                    self.times.seconds[child.name] = seconds
                self.say(f"{child.name} | done in {clock(seconds)} ({self.status()})")
            elif not self.signals:
                self.fail(stage, child)
                goes_on = bool(self.running or self.left or self.ready)
                others = "; what does not depend on it goes on (Ctrl-C ends it)" if goes_on else ""
                self.say(
                    f"{child.name} | failed after {clock(seconds)}; all that it said: {os.path.relpath(child.log)}{others}"
                )
                if not goes_on:
                    child.last_lines.clear()  # nothing comes between them and the last line

    def fail(self, stage: Stage, child: StageProcess) -> None:
        """Take note of a stage that failed, and of all that can therefore not run."""
        self.failed[stage] = child
        for other in list(self.left):  # whatever it depends on comes before it
            if self.upstream[other] & {stage, *self.blocked}:
                self.left.remove(other)
                self.blocked.append(other)

    def status(self) -> str:
        """Return where the run stands."""
        ended = {*self.done, *self.failed, *self.blocked}
        num_left = len(self.upstream) - len(ended) - len(self.running)
        failed = f", {len(self.failed)} failed" if self.failed else ""
        text = f"{len(self.done)} of {len(self.upstream)} stages done{failed}, {len(self.running)} running, {num_left} left"
        text += f"; elapsed {clock(self.elapsed())}"
        seconds, all_known = self.times.left(
            {stage.addressing for stage in ended},
            {child.name: time.monotonic() - child.started for child in self.running.values()},
            self.jobs,
        )
        if self.signals:
            return f"ending: {text}"
        return f"{text}, {'about' if all_known else 'at least'} {clock(seconds)} to go" if seconds else text

    def elapsed(self) -> float:
        """Return for how many seconds this has run."""
        return time.monotonic() - self.started


def changed(stage: Stage) -> bool:
    """Return what ``dvc repro`` asks before it runs a stage."""
    try:
        return stage.changed()
    except LockError:
        raise
    except DvcException:
        return True  # the same error then fails the stage, which says so


def heeds(signum: int) -> bool:
    """Return whether a signal is to end the run: not one that we were started to ignore (``nohup``, ``&`` in a script).

    Stages then do not inherit that it is ignored: we end them by it.
    """
    if signal.getsignal(signum) is not signal.SIG_IGN:
        return True
    signal.signal(signum, lambda *_: None)
    return False


def main() -> None:
    """Run the targets' stages and all that they depend on, and exit."""
    parser = argparse.ArgumentParser(prog="parallel", description="dvc repro, with several stages at a time")
    parser.add_argument(
        "-j",
        "--jobs",
        type=int,
        metavar="N",
        help="stages at a time; by default as machine.yaml says, else one per core, or one where there are GPUs",
    )
    parser.add_argument(
        "-S", dest="params", action="append", default=[], metavar="NAME=VALUE", help="first set it in params.yaml"
    )
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help="as for `dvc repro`, or a page as table3; all stages if none"
    )
    arguments = parser.parse_args()
    signals = [signum for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if heeds(signum)]
    for signum in signals:
        signal.signal(signum, signal.default_int_handler)
    try:
        jobs = read_machine().side_by_side() if arguments.jobs is None else arguments.jobs
        if jobs < 1:
            raise ValueError(f"--jobs is {jobs}; expected 1 or more")
        environment.check()
        set_params(arguments.params)
        check_params()
        repo = Repo()
        stages = begin(repo, arguments.targets)
        for stage in stages:
            if stage.addressing == REPORT:
                make_folders(stage)
        runner = Runner(repo, stages, jobs)
        for signum in signals:
            signal.signal(signum, runner.signalled)
        runner.run()
    except KeyboardInterrupt:
        sys.exit("parallel: interrupted before any stage began. Run the same command to continue.")
    except SCMError as error:
        sys.exit(f"parallel: {error}; DVC needs one; run: git init, then run this again")
    except NotDvcRepoError:
        sys.exit("parallel: this folder is in no DVC repository; change to the project's folder and run this again")
    except ValueError as error:
        sys.exit(f"parallel: {error}")
    except sqlite3.DatabaseError as error:
        sys.exit(
            f"parallel: DVC's tables in {site_cache_dir()}: {error}; free some space there; or, for DVC makes them anew, "
            f"run: rm -r {site_cache_dir()}/repo"
        )
    except DvcException as error:
        sys.exit(f"parallel: {' '.join(str(error).split())}; for more run: dvc status")
    progress = f"{len(runner.done)} of {len(runner.upstream)} stages are done"
    if runner.failed:
        for line in [line for child in runner.failed.values() for line in child.last_lines]:
            runner.say(line)
        if runner.blocked:
            waited = ", ".join(stage.addressing for stage in runner.blocked)
            print(f"parallel: not run, as it depends on what failed: {waited}", file=sys.stderr)
        names = ", ".join(f"'{child.name}'" for child in runner.failed.values())
        sys.exit(f"parallel: {names} failed, see above; {progress}. Mend it, then run the same command to continue.")
    if len(runner.done) < len(runner.upstream):
        print(f"parallel: interrupted; {progress}. Run the same command to continue.", file=sys.stderr)
        sys.exit(128 + runner.signals[0])
    counts = ", ".join(f"{count} {what}" for what, count in runner.counts.items())
    print(f"parallel: of {len(runner.upstream)} stages {counts}; {clock(runner.elapsed())}")


if __name__ == "__main__":
    main()
