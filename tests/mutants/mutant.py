"""What a mutant is: a guard as it stands in the code, the code without it, and the tests that must fail then.

A guard is looked for in one function or class and without regard to white space, so a mutant survives that code around
it moves or is formatted anew. If it does not stand there exactly once, the guard moved, and the mutant says where to.
"""

import ast
import difflib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Moved(Exception):
    """The guard is not where the mutant says, or is there more than once."""


@dataclass(frozen=True)
class Cut:
    """`guard` in `place` ("path:function", "path:Class", or "path" for the whole file) becomes `without`."""

    place: str
    guard: str
    without: str = ""

    @property
    def path(self) -> str:
        return self.place.partition(":")[0]

    def apply(self, text: str) -> str:
        """The file's text without the guard. Raises Moved."""
        start, end = self._scope(text)
        words = [re.escape(word) for word in self.guard.split()]
        found = [match.span() for match in re.finditer(r"\s+".join(words), text[start:end])]
        if len(found) != 1:
            raise Moved(self._where(text, f"stands {len(found)} times, not once, in {self.place}"))
        first, last = found[0]
        return text[: start + first] + self.without + text[start + last :]

    def _scope(self, text: str) -> tuple[int, int]:
        name = self.place.partition(":")[2]
        if not name:
            return 0, len(text)
        spans = _definitions(text).get(name, [])
        if len(spans) != 1:
            raise Moved(self._where(text, f"cannot be looked for: {self.path} defines {name} {len(spans)} times"))
        return spans[0]

    def _where(self, text: str, why: str) -> str:
        lines = {line.strip(): number for number, line in enumerate(text.splitlines(), 1)}
        close = difflib.get_close_matches(self.guard.split("\n")[0].strip(), lines, n=3, cutoff=0.3)
        hints = "".join(f"\n    {self.path}:{lines[line]}: {line}" for line in close)
        return f"The guard moved: update the mutant. {self.guard!r} {why}.{hints}"


@cache
def _definitions(text: str) -> dict[str, list[tuple[int, int]]]:
    """Where each function and class of a file begins and ends, by name (also "Class.method")."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: dict[str, list[tuple[int, int]]] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                first = min([child.lineno, *(one.lineno for one in child.decorator_list)])
                span = (starts[first - 1], starts[child.end_lineno or first])
                for name in {child.name, prefix + child.name}:
                    found.setdefault(name, []).append(span)
                visit(child, f"{prefix}{child.name}.")
            else:
                visit(child, prefix)

    visit(ast.parse(text), "")
    return found


@dataclass(frozen=True)
class Mutant:
    """Several cuts make one mutant where two guards cover each other: either alone would do."""

    name: str
    cuts: tuple[Cut, ...]
    tests: tuple[str, ...]  # each has to fail

    def files(self, root: Path = ROOT) -> dict[str, str]:
        """The changed files: path to text. Raises Moved."""
        changed: dict[str, str] = {}
        for cut in self.cuts:
            text = changed.get(cut.path) or (root / cut.path).read_text()
            changed[cut.path] = cut.apply(text)
        for path, text in changed.items():
            compile(text, path, "exec")
        return changed


def mutant(name: str, *parts: str | Cut) -> Mutant:
    """`mutant(name, place, guard, without, test, ...)`, or with cuts instead of place, guard and without."""
    if isinstance(parts[0], Cut):
        cuts = tuple(part for part in parts if isinstance(part, Cut))
        return Mutant(name, cuts, tuple(part for part in parts if isinstance(part, str)))
    place, guard, without, *tests = (str(part) for part in parts)
    return Mutant(name, (Cut(place, guard, without),), tuple(tests))
