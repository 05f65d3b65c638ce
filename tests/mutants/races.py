"""The races between everybody who changes a job or a delivery, and which mutants take out the guards against each.

Also the page of it, docs/races.md: `python -m tests.mutants --page > docs/races.md`.
"""

from collections.abc import Iterator
from operator import attrgetter

from tests.mutants import delivery_races, job_races
from tests.mutants.mutant import Mutant
from tests.mutants.race import Race

RACES = sorted([*job_races.RACES, *delivery_races.RACES], key=attrgetter("number"))

HEAD = """# Races and their guards

Everybody may change a job or a delivery at any moment: dispatchers, workers, rescuers, planners, importers, providers
and people. What keeps them apart are guards, most of them a condition in the one UPDATE that makes the change. Each
guard is taken out in turn, in a copy of the code (a *mutant*), and the tests named here fail then. `make mutants` does
it; `make test` checks that every guard still stands where its mutant says. When one has moved, its failure says where
to: correct the place or the text in `tests/mutants/`, and print this page anew (`python -m tests.mutants --page`).

Where a guard is told with two places, either alone would do: they are taken out together. A test that needs two writers
at once runs on PostgreSQL only, and so do the mutants that it is to notice.

## The races

| | at the same time | what would go wrong | guard | without it | tests that fail then |
|---|---|---|---|---|---|
"""
EVERY = """
## Every guard

| without it | where it stands | tests that fail then |
|---|---|---|
"""


def page(mutants: list[Mutant]) -> str:
    """docs/races.md."""
    by_name = {mutant.name: mutant for mutant in mutants}
    return HEAD + "".join(_race(race, by_name) for race in RACES) + EVERY + "".join(_guard(one) for one in mutants)


def _race(race: Race, by_name: dict[str, Mutant]) -> str:
    taken = [by_name[name] for name in race.mutants]
    tests = dict.fromkeys(_short(one.tests[0]) for one in taken)
    names = "<br>".join(one.name for one in taken)
    return _row(f"R{race.number}", race.race, race.harm, race.guard, names, "<br>".join(tests))


def _guard(mutant: Mutant) -> str:
    places = "<br>".join(dict.fromkeys(f"`{cut.place}`" for cut in mutant.cuts))
    return _row(mutant.name, places, "<br>".join(_short(test) for test in mutant.tests))


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _short(test: str) -> str:
    path, _, name = test.removeprefix("tests/").partition("::")
    return f"{path.removesuffix('.py')}: {name.removeprefix('test_').replace('_', ' ')}".replace("|", "\\|")


def unknown(mutants: list[Mutant]) -> Iterator[str]:
    """Names that the races use and no mutant has."""
    names = {mutant.name for mutant in mutants}
    yield from (name for race in RACES for name in race.mutants if name not in names)
