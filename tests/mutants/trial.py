"""Trying mutants: each in a process of its own, against the tests that it names.

Most are tried in forks of a process that has imported everything, see `warm`; the others, and whatever was not killed
there, on a copy of the tree that is imported anew. A mutant is killed when every test that it names fails; a test that
is skipped (no PostgreSQL here) proves nothing, and one that cannot even start is a mistake in the mutant.
"""

import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery.app.trace  # noqa: F401  slow imports, done once for all
import django.db.models  # noqa: F401
import psycopg  # noqa: F401
import pytest

from tests.mutants import warm
from tests.mutants.mutant import ROOT, Moved, Mutant

LONGEST = 300  # seconds: a mutant may make a test wait for ever
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".hypothesis", "*_cache", "__pycache__", "data", "build", "node_modules"
)
_times = itertools.count(1_000_000_000)
KILLED, SURVIVED, SKIPPED, BROKEN = "killed", "SURVIVED", "skipped", "BROKEN"


@dataclass(frozen=True)
class Result:
    mutant: Mutant
    verdict: str
    why: str = ""
    seconds: float = 0.0


class _Record:
    """A plugin of pytest: what became of each test."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.broken: list[str] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        worse = {"passed": 0, "skipped": 1, "failed": 2}
        before = self.outcomes.get(report.nodeid, "passed")
        self.outcomes[report.nodeid] = max(before, report.outcome, key=worse.__getitem__)
        if report.failed and report.when == "setup":
            self.broken.append(f"{report.nodeid}: {_last_line(report)}")

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.broken.append(f"{report.nodeid}: {_last_line(report)}")


def _last_line(report: Any) -> str:
    return str(["", *report.longreprtext.splitlines()][-1])


def judge(mutant: Mutant, record: dict[str, Any]) -> tuple[str, str]:
    """(verdict, why) from what a run recorded."""
    outcomes: dict[str, str] = record["outcomes"]
    found = {test: [outcome for one, outcome in outcomes.items() if _is(test, one)] for test in mutant.tests}
    if record["broken"] or not all(found.values()):
        missing = [test for test, seen in found.items() if not seen]
        return BROKEN, "\n".join(record["broken"] or [f"no such test: {test}" for test in missing])
    passed = [test for test, seen in found.items() if "failed" not in seen and "passed" in seen]
    if passed:
        return SURVIVED, "passes without the guard: " + ", ".join(passed)
    if any("failed" not in seen for seen in found.values()):
        return SKIPPED, "a test was skipped"
    return KILLED, ""


def _found(record: dict[str, Any]) -> tuple[str, str]:
    """Which tests notice."""
    failed = [test for test, outcome in record["outcomes"].items() if outcome == "failed"]
    return KILLED if failed else SURVIVED, "\n".join(record["broken"] or failed)


def _is(test: str, nodeid: str) -> bool:
    """A test named without parameters stands for all of its cases: one of them has to fail."""
    return nodeid == test or nodeid.partition("[")[0] == test


def run(mutants: Sequence[Mutant], parallel: int = 2, tests: Sequence[str] = ()) -> Iterator[Result]:
    """Try them all, a few at a time; yields each as it ends. `tests`: these instead of those that a mutant names."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        original = _copy(ROOT, Path(scratch) / "original")  # the tree may change while mutants are being tried
        left = list(mutants)
        for result in _warm([one for one in mutants if _is_warm(one)], original, parallel, tests):
            if result.verdict in (KILLED, SKIPPED) or tests:
                left.remove(result.mutant)
                yield result
        yield from _cold(left, original, parallel, tests)


def _is_warm(mutant: Mutant) -> bool:
    try:
        return warm.possible(mutant)
    except (Moved, SyntaxError, OSError):
        return False


def _cold(mutants: Sequence[Mutant], original: Path, parallel: int, tests: Sequence[str]) -> Iterator[Result]:
    """Each in a process that imports the project from a copy of its own."""
    trees = [_copy(original, original.with_name(f"mutant_{os.getpid()}_{number}")) for number in range(parallel)]

    def begin(mutant: Mutant, tree: Path) -> int:
        for path, text in mutant.files(tree).items():
            _write(tree / path, text)
        return _fork(lambda: _try(tree, tree, tests or mutant.tests))

    def end(mutant: Mutant, tree: Path) -> None:
        for path in {cut.path for cut in mutant.cuts}:
            shutil.copy2(original / path, tree / path)

    yield from _each(mutants, trees, begin, end, finding=bool(tests))


def _warm(mutants: Sequence[Mutant], original: Path, parallel: int, tests: Sequence[str]) -> Iterator[Result]:
    """Each in a fork of one process, see `warm`. What is not killed here is tried again, by itself."""
    if not mutants:
        return
    reading, writing = os.pipe()
    databases = warm.Databases(original.parent)
    pid = _fork(lambda: _serve(mutants, original, parallel, tests, databases, writing), limit=0)
    os.close(writing)
    try:
        with os.fdopen(reading) as lines:
            for line in lines:
                number, verdict, why, seconds = json.loads(line)
                yield Result(mutants[number], verdict, why, seconds)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        databases.drop(parallel)


def _serve(
    mutants: Sequence[Mutant],
    original: Path,
    parallel: int,
    tests: Sequence[str],
    databases: warm.Databases,
    writing: int,
) -> None:
    _move_to(original, original)
    warm.get_ready(tests or [test for mutant in mutants for test in mutant.tests])
    os.waitpid(_fork(databases.migrate), 0)
    slots = [original.with_name(f"warm_{number}") for number in range(parallel)]

    def begin(mutant: Mutant, slot: Path) -> int:
        return _fork(lambda: tried(mutant, slot))

    def tried(mutant: Mutant, slot: Path) -> None:
        databases.use(slots.index(slot))
        warm.apply(mutant, original)
        _told(slot, tests or mutant.tests)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with os.fdopen(writing, "w") as lines:
        for result in _each(mutants, slots, begin, lambda *_: None, finding=bool(tests)):
            told = [mutants.index(result.mutant), result.verdict, result.why, result.seconds]
            print(json.dumps(told), file=lines, flush=True)


def _each(
    mutants: Sequence[Mutant],
    slots: Sequence[Path],
    begin: Callable[[Mutant, Path], int],
    end: Callable[[Mutant, Path], None],
    *,
    finding: bool,
) -> Iterator[Result]:
    waiting, free = list(mutants)[::-1], list(slots)
    running = dict[int, tuple[Mutant, Path, float]]()
    try:
        while waiting or running:
            while waiting and free:
                mutant, slot = waiting.pop(), free.pop()
                slot.with_suffix(".json").unlink(missing_ok=True)
                try:
                    running[begin(mutant, slot)] = (mutant, slot, time.monotonic())
                except (Moved, SyntaxError, OSError) as exc:
                    free.append(slot)
                    yield Result(mutant, BROKEN, str(exc))
            if running:
                pid, status = os.wait()
                mutant, slot, began = running.pop(pid)
                yield _result(mutant, slot.with_suffix(".json"), status, time.monotonic() - began, finding=finding)
                end(mutant, slot)
                free.append(slot)
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _copy(source: Path, tree: Path) -> Path:
    shutil.copytree(source, tree, ignore=LEFT_OUT, symlinks=True)
    return tree


def _write(path: Path, text: str) -> None:
    """Compiled code is kept by whole seconds and sizes, so no two mutants of a file may share both."""
    path.write_text(text)
    os.utime(path, (next(_times), next(_times)))


def _fork(act: Callable[[], None], limit: int = LONGEST) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.alarm(limit)
            act()
            sys.stdout.flush()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return pid


def _try(tree: Path, slot: Path, tests: Sequence[str]) -> None:
    """In the forked process: the tests on the copy."""
    _move_to(tree, slot)
    _told(slot, tests)


def _move_to(tree: Path, slot: Path) -> None:
    """Leave the project that is loaded, and have the one in that tree imported."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "jobs", "notifications", "config")]:
        del sys.modules[name]
    os.chdir(tree)
    sys.path[:] = [str(tree), *(path for path in sys.path if path not in ("", str(ROOT)))]
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    _log_to(slot)


def _log_to(slot: Path) -> None:
    with slot.with_suffix(".log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def _told(slot: Path, tests: Sequence[str]) -> None:
    _log_to(slot)
    record = _Record()
    pytest.main([*warm.OPTIONS, "--create-db", "-m", "", *tests], plugins=[record])
    outcome = {"outcomes": record.outcomes, "broken": record.broken}
    slot.with_suffix(".json").write_text(json.dumps(outcome))


def _result(mutant: Mutant, told: Path, status: int, seconds: float, *, finding: bool) -> Result:
    if told.exists():
        record = json.loads(told.read_text())
        return Result(mutant, *(_found(record) if finding else judge(mutant, record)), seconds=seconds)
    log = told.with_suffix(".log")
    tail = "\n".join(log.read_text().splitlines()[-5:]) if log.exists() else ""
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return Result(mutant, BROKEN, f"not done after {LONGEST} s", seconds)
    return Result(mutant, BROKEN, f"ended with status {status}\n{tail}", seconds)
