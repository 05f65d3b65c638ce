"""Mutants of functions, tried in forks of one process that has imported everything, tests included.

Used by `trial`. To import the project and to migrate a database takes much longer than most tests. So the database is
migrated once and copied, and a function gets the code that it would have without its guard, wherever it is referred to.
What is decided at import (a table, a class body, an argument of a decorator) cannot be changed like that.
"""

import gc
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from tests.mutants.mutant import ROOT, Mutant

OPTIMIZED = 0x1  # of a function's code, not of a module's or a class body's
OPTIONS = ["-p", "no:cacheprovider", "-p", "no:randomly"]


def possible(mutant: Mutant) -> bool:
    """Whether all its cuts lie within functions."""
    return bool(mutant.cuts) and all(_changed(path, text, ROOT) for path, text in mutant.files().items())


def apply(mutant: Mutant, tree: Path) -> None:
    """Give the functions of this process the code that they have in the mutant."""
    changed = [pair for path, text in mutant.files(tree).items() for pair in _changed(path, text, tree) or ()]
    functions = [one for one in gc.get_objects() if type(one) is FunctionType]  # isinstance would ask lazy objects
    for old, new in changed:
        same = [one for one in functions if one.__code__.co_filename == old.co_filename and _is(one.__code__, old)]
        if not same:
            raise LookupError(f"{mutant.name}: nobody has {old.co_qualname}")
        for one in same:
            one.__code__ = new


def _is(code: CodeType, other: CodeType) -> bool:
    return code.co_qualname == other.co_qualname and _plain(code) == _plain(other)


def _changed(path: str, text: str, tree: Path) -> list[tuple[CodeType, CodeType]] | None:
    """The functions' code before and after. None: something else than functions has changed."""
    name = str(tree / path)
    found: list[tuple[CodeType, CodeType]] = []
    before, after = (compile(one, name, "exec") for one in ((tree / path).read_text(), text))
    return found if _compared(before, after, found) else None


def _compared(before: CodeType, after: CodeType, found: list[tuple[CodeType, CodeType]]) -> bool:
    if _plain(before) == _plain(after):
        return True
    if before.co_flags & OPTIMIZED:
        found.append((before, after))
        return before.co_qualname == after.co_qualname and before.co_freevars == after.co_freevars
    inner = [[one for one in code.co_consts if isinstance(one, CodeType)] for code in (before, after)]
    if _plain(before, deep=False) != _plain(after, deep=False) or len(inner[0]) != len(inner[1]):
        return False
    return all(_compared(one, other, found) for one, other in zip(*inner, strict=True))


def _plain(code: CodeType, *, deep: bool = True) -> tuple[Any, ...]:
    """What it does, whatever lines it stands in."""
    consts = [
        (_plain(one) if deep else "code") if isinstance(one, CodeType) else (type(one), repr(one))
        for one in code.co_consts
    ]
    return (code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, tuple(consts))


# --- The process that has everything ---


def get_ready(tests: Sequence[str]) -> None:
    """Import what these tests need, as pytest imports it."""
    files = sorted({test.partition("::")[0] for test in tests if Path(test.partition("::")[0]).exists()})
    pytest.main([*OPTIONS, "-qq", "--collect-only", "-m", "", *files])


class Databases:
    """One that is migrated, and copies of it."""

    def __init__(self, scratch: Path) -> None:
        self.file, self.name = scratch / "migrated.sqlite3", f"test_punctual_mutants_{os.getpid()}"

    def migrate(self) -> None:
        """In a process of its own."""
        from django.db import connection
        from django.test.utils import setup_databases

        connection.settings_dict["TEST"]["NAME"] = self.name if connection.vendor == "postgresql" else None
        setup_databases(verbosity=0, interactive=False)
        if connection.vendor == "sqlite":
            with closing(sqlite3.connect(self.file)) as copy:
                connection.connection.backup(copy)
        connection.close()

    def use(self, number: int) -> None:
        """From now on, in this process, a test database is a copy."""
        from django.core.management.commands import migrate
        from django.db import connection

        if connection.vendor == "postgresql":
            connection.settings_dict["TEST"] |= {"NAME": f"{self.name}_{number}", "TEMPLATE": self.name}
        handle: Callable[..., None] = lambda *_, **__: self._restore(connection)  # noqa: E731
        migrate.Command.handle = handle  # type: ignore[method-assign]

    def _restore(self, connection: Any) -> None:
        if connection.vendor == "sqlite":
            connection.ensure_connection()
            with closing(sqlite3.connect(self.file)) as copy:
                copy.backup(connection.connection)

    def drop(self, number: int) -> None:
        """What killed processes left behind."""
        if os.environ.get("DATABASE_URL", "").startswith("postgres"):
            import psycopg

            with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
                for name in (*(f"{self.name}_{n}" for n in range(number)), self.name):
                    admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
