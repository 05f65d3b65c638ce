"""`python -m tests.mutants`: try every mutant, or those whose name or place holds one of the words.

--list               only names, places and tests
--anchors            only whether each guard stands where its mutant says, with hints where it does not
--find TESTS...      run these tests (files, ids) instead of the named ones, and show which of them notice
--parallel N         how many at a time (2)
--page               docs/races.md
"""

import argparse
import signal
import sys
import time

from tests.mutants import MUTANTS
from tests.mutants.mutant import Moved, Mutant
from tests.mutants.races import page
from tests.mutants.trial import BROKEN, KILLED, SKIPPED, SURVIVED, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("words", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--anchors", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--find", nargs="+", default=[], metavar="TEST")
    parser.add_argument("--parallel", type=int, default=2)
    asked = parser.parse_args()
    chosen = [one for one in MUTANTS if not asked.words or any(_fits(word, one) for word in asked.words)]
    if asked.list:
        for one in chosen:
            print(one.name, *(f"\n    {cut.place}: {cut.guard!r} -> {cut.without!r}" for cut in one.cuts))
            print(*(f"    {test}" for test in one.tests), sep="\n")
        return 0
    if asked.page:
        print(page(MUTANTS), end="")
        return 0
    if asked.anchors:
        return _anchors(chosen)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and take the running ones along
    began, counts = time.monotonic(), dict.fromkeys((KILLED, SURVIVED, SKIPPED, BROKEN), 0)
    for result in run(chosen, asked.parallel, asked.find):
        counts[result.verdict] += 1
        print(f"{result.verdict:9}{result.seconds:5.1f} s  {result.mutant.name}", flush=True)
        if result.why:
            print("    " + result.why.replace("\n", "\n    "), flush=True)
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    print(f"{len(chosen)} mutants in {time.monotonic() - began:.0f} s: {told or 'none'}")
    return 1 if counts[SURVIVED] or counts[BROKEN] else 0


def _fits(word: str, one: Mutant) -> bool:
    return word.lower() in f"{one.name} {' '.join(cut.place for cut in one.cuts)}".lower()


def _anchors(chosen: list[Mutant]) -> int:
    moved = 0
    for one in chosen:
        try:
            one.files()
        except Moved as exc:
            moved += 1
            print(f"{one.name}: {exc}")
    print(f"{len(chosen) - moved} of {len(chosen)} guards stand where their mutants say")
    return 1 if moved else 0


if __name__ == "__main__":
    sys.exit(main())
