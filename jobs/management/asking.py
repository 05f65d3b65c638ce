"""The question before something grave: asked of a person at a terminal, refused where there is none."""

import sys

from jobs.management.terminal import NotDone, Usage


def agree(what: str, *, yes: bool) -> None:
    """Goes on if they say so. `what` is what would be done: "Delete 7 jobs". Raises Usage or NotDone."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Usage(f"{what}? There is nobody to ask: say --yes, or look first with --dry-run.")
    sys.stderr.write(f"{what}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise NotDone("Nothing was done.")
