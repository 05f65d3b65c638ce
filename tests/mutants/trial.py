"""Trying mutants: each on a copy of the tree, in a process of its own, against the tests that it names.

The processes are forked from one that has imported the libraries already, but nothing of the project. A mutant is
killed when every test that it names fails; a test that is skipped (no PostgreSQL here) proves nothing, and one that
cannot even start is a mistake in the mutant.
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery.app.trace  # noqa: F401  slow imports, done once for all
import django.db.models  # noqa: F401
import psycopg  # noqa: F401
import pytest

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
    waiting, running = list(mutants)[::-1], dict[int, tuple[Mutant, Path, Path, float]]()
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        original = _copy(ROOT, Path(scratch) / "original")  # the tree may change while mutants are being tried
        trees = [_copy(original, Path(scratch) / f"mutant_{os.getpid()}_{number}") for number in range(parallel)]
        try:
            while waiting or running:
                while waiting and trees:
                    mutant, tree = waiting.pop(), trees.pop()
                    try:
                        changed = mutant.files(tree)
                    except (Moved, SyntaxError, OSError) as exc:
                        trees.append(tree)
                        yield Result(mutant, BROKEN, str(exc))
                        continue
                    for path, text in changed.items():
                        _write(tree / path, text)
                    told = tree.with_suffix(".json")
                    running[_fork(mutant, tree, told, tests)] = (mutant, tree, told, time.monotonic())
                if running:
                    pid, status = os.wait()
                    mutant, tree, told, began = running.pop(pid)
                    yield _result(mutant, told, status, time.monotonic() - began, finding=bool(tests))
                    for path in {cut.path for cut in mutant.cuts}:
                        shutil.copy2(original / path, tree / path)
                    trees.append(tree)
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


def _fork(mutant: Mutant, tree: Path, told: Path, tests: Sequence[str]) -> int:
    told.unlink(missing_ok=True)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(LONGEST)
            _try(tree, told, list(tests or mutant.tests))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return pid


def _try(tree: Path, told: Path, tests: list[str]) -> None:
    """In the forked process: the tests on the copy."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "jobs", "notifications", "config")]:
        del sys.modules[name]
    os.chdir(tree)
    sys.path[:] = [str(tree), *(path for path in sys.path if path not in ("", str(ROOT)))]
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    with tree.with_suffix(".log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    record = _Record()
    pytest.main(["-p", "no:cacheprovider", "-p", "no:randomly", "--create-db", "-m", "", *tests], plugins=[record])
    told.write_text(json.dumps({"outcomes": record.outcomes, "broken": record.broken}))
    sys.stdout.flush()
    os._exit(0)


def _result(mutant: Mutant, told: Path, status: int, seconds: float, *, finding: bool) -> Result:
    if told.exists():
        record = json.loads(told.read_text())
        return Result(mutant, *(_found(record) if finding else judge(mutant, record)), seconds=seconds)
    log = told.with_suffix(".log")
    tail = "\n".join(log.read_text().splitlines()[-5:]) if log.exists() else ""
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return Result(mutant, BROKEN, f"not done after {LONGEST} s", seconds)
    return Result(mutant, BROKEN, f"ended with status {status}\n{tail}", seconds)
