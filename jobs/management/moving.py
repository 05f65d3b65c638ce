"""`manage.py jobs export` and `import`: jobs as a file, from here or from Bull, BullMQ, Agenda and others.

docs/migrating.md shows how each system's file is made.
"""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from jobs import aliases, priorities
from jobs.management import choosing, words
from jobs.management.terminal import ERROR, NotDone, Terminal, Usage
from jobs.management.verbs import verb
from jobs.models import Job
from jobs.transfer import exporting, importing, rows
from jobs.transfer.importing import Outcome
from jobs.transfer.owed import BadRow
from jobs.transfer.rows import Wanted
from jobs.transfer.sources import Source

# What an export has that an import does not take.
LEFT = {
    "running": "run: an import refuses them, for nobody knows yet how they end. Drain the queues and export again.",
    "awaited": "belong to a group that is not over: an import refuses them. Let the groups finish and export again.",
    "internal": "are of tasks that the application alone calls, and the rows that these are about are not in the file: "
    "where the database is another one, leave them out or bring its rows along.",
    "of_groups": "are over and were of a group: they come along, without their group.",
}
SHOWN = 20  # bad rows on the screen; all that are kept with --verbosity 2, and in a pipe


def add(verbs: Any) -> None:
    out = verb(verbs, "export", export, "write jobs to a file, with their number and a checksum")
    out.add_argument("file", help="a new file; - is stdout")
    out.add_argument("--force", action="store_true", help="write over the file")
    choosing.add_filters(out)
    into = verb(verbs, "import", import_jobs, "take jobs from a file; a second time adds what is missing and no more")
    into.add_argument("file", type=Path)
    _add_reading(into)
    into.add_argument("--dry-run", action="store_true", help="look at all of it, write nothing")
    into.add_argument("--skip-bad", action="store_true", help="leave bad rows behind; else one refuses all")
    into.add_argument("--sha256", default="", metavar="HEX", help="of the whole file, as sha256sum tells")
    into.add_argument(
        "--expect", type=words.number(0), metavar="ROWS", help="refuse the file if it has not so many rows"
    )
    words.add_why(into)


def _add_reading(parser: ArgumentParser) -> None:
    systems = [rows.OURS, *rows.SYSTEMS]
    whose = f"whose file it is: {', '.join(systems)} (default: as it looks)"
    parser.add_argument("--system", choices=systems, default="", metavar="NAME", help=whose)
    parser.add_argument(
        "--names",
        nargs="+",
        action="extend",
        default=[],
        metavar="OLD=NEW",
        type=_names,
        help="which task a name means; or a file of such lines",
    )
    scales = sorted(priorities.SCALES)
    known = f"the one that numbers are on: {', '.join(scales)}"
    parser.add_argument("--priorities", choices=scales, default="", metavar="SCALE", help=known)
    parser.add_argument("--queue", default="", help="in place of each task's own")
    parser.add_argument("--schedules", action="store_true", help="make schedules of what recurs")


def _names(text: str) -> dict[str, str]:
    """old=new, or a file with such lines; # begins a remark."""
    if "=" in text:
        lines = [text]
    else:
        try:
            lines = Path(text).read_text().splitlines()
        except OSError as exc:
            raise ArgumentTypeError(f"{text} is neither OLD=NEW nor a file that can be read: {exc.strerror}.") from None
    found = {}
    for line in lines:
        old, is_one, new = line.partition("#")[0].partition("=")
        if line.partition("#")[0].strip():
            if not (is_one and old.strip() and new.strip()):
                raise ArgumentTypeError(f"{line!r} is not OLD=NEW.")
            found[old.strip()] = new.strip()
    return found


def export(options: Mapping[str, Any], terminal: Terminal) -> None:
    selection, name = choosing.selection(options), options["file"]
    if name == "-":
        footer = exporting.export(selection, sys.stdout.buffer)
        terminal.warn(f"{footer['jobs']:,} jobs")
        _say_left(footer, terminal)
        return
    path = Path(name)
    if path.exists() and not options["force"]:
        raise Usage(f"{name} is there already: name another file, or --force.")
    with terminal.progress(selection.rows(Job.objects.all()).count(), "jobs") as at:
        try:
            footer = exporting.to_path(selection, path, told=at)
        except OSError as exc:
            raise CommandError(f"{name} cannot be written: {exc.strerror}.", returncode=ERROR) from exc
    counts = ", ".join(f"{number:,} {state}" for state, number in footer["counts"].items()) or "none"
    facts = {"file": name, "jobs": footer["jobs"], "counts": footer["counts"], "sha256": footer["sha256"]}
    facts["left"] = footer["left"]
    terminal.say(f"{footer['jobs']:,} jobs in {name}: {counts}. SHA-256 of the rows: {footer['sha256']}", **facts)
    _say_left(footer, terminal)


def _say_left(footer: Mapping[str, Any], terminal: Terminal) -> None:
    for name, number in footer["left"].items():
        terminal.warn(f"{number:,} jobs {LEFT[name]}")


def import_jobs(options: Mapping[str, Any], terminal: Terminal) -> None:
    path, wanted = options["file"], _wanted(options)
    try:
        with Source(path) as source:
            told = _looked(source, wanted, options)
            good = told.rows - told.counts["bad"]
            wrong = told.counts["bad"] and not options["skip_bad"]
            if good and not (wrong or options["dry_run"]):
                told = _brought_in(source, wanted, told, options, terminal)
            if told.rows:
                _report(told, source.sha256, options, terminal)
    except BadRow as exc:
        raise CommandError(f"{path}: {exc}.", returncode=ERROR) from None
    except OSError as exc:
        raise Usage(f"{path} cannot be read: {exc.strerror}.") from None
    except KeyboardInterrupt:
        raise CommandError(f"Interrupted: {_PART}", returncode=130) from None
    except DatabaseError as exc:
        raise CommandError(f"The database failed: {str(exc).strip()}\n{_PART}", returncode=ERROR) from exc
    _end(told, options)


_PART = "whole chunks are in. The same command again adds the rest."


def _end(told: Outcome, options: Mapping[str, Any]) -> None:
    """The exit code, where it is not 0."""
    if not told.rows:
        raise NotDone(f"There is no job in {options['file']}.")
    bad, others = told.counts["bad"], told.counts["other"]
    written = not options["dry_run"] and (options["skip_bad"] or not bad)
    rest = "the others are in" if written else "nothing was written"
    if bad:
        raise CommandError(f"{bad:,} bad rows; {rest}.", returncode=ERROR)
    if others:
        raise CommandError(f"{others:,} rows are other jobs here, by their ids; {rest}.", returncode=ERROR)


def _wanted(options: Mapping[str, Any]) -> Wanted:
    names = {old: _task(new) for some in options["names"] for old, new in some.items()}
    if options["queue"]:
        words.known("queue", options["queue"])
    return Wanted(names, options["priorities"], options["queue"], options["schedules"], options["system"])


def _task(name: str) -> str:
    """A task's own name, or one by which it reads others' payloads."""
    return name if aliases.is_read(name) else words.known("task", name)


def _looked(source: Source, wanted: Wanted, options: Mapping[str, Any]) -> Outcome:
    seen = importing.look(source, wanted)
    if options["sha256"] and options["sha256"].lower() != source.sha256:
        raise BadRow(f"its SHA-256 is {source.sha256}")
    if options["expect"] is not None and options["expect"] != seen.rows:
        raise BadRow(f"it has {seen.rows:,} rows, not {options['expect']:,}")
    return seen


def _brought_in(
    source: Source, wanted: Wanted, seen: Outcome, options: Mapping[str, Any], terminal: Terminal
) -> Outcome:
    with terminal.progress(seen.rows, "rows") as at:
        done = importing.bring_in(source, wanted, by=options["by"], reason=options["reason"], told=at)
    if (seen.rows, seen.counts["bad"]) != (done.rows, done.counts["bad"]):
        raise BadRow(f"{seen.rows:,} rows were looked at and {done.rows:,} are accounted for: import it again")
    return done


def _report(told: Outcome, sha256: str, options: Mapping[str, Any], terminal: Terminal) -> None:
    counts = {name: number for name, number in sorted(told.counts.items()) if number}
    bad = [{"line": row.line, "error": row.error} for row in told.bad]
    if terminal.json:
        facts = {"file": str(options["file"]), "dry_run": options["dry_run"], "rows": told.rows, "counts": counts}
        facts["sha256"] = sha256
        terminal.record(facts | {"notes": dict(told.notes), "bad": bad})
        return
    terminal.say(f"{told.rows:,} rows: {', '.join(f'{number:,} {name}' for name, number in counts.items()) or 'none'}.")
    for note, number in told.notes.most_common():
        terminal.say(f"  {number:,} rows: {note}")
    if options["dry_run"]:
        terminal.say(f"So far nothing was written. For the same file: --sha256 {sha256}")
    few = bad if options["verbosity"] > 1 else bad[:SHOWN]
    for one in few:
        terminal.warn(f"line {one['line']}: {one['error']}")
    if (more := told.counts["bad"] + told.counts["other"] - len(few)) > 0:
        terminal.warn(f"... and {more:,} more such rows")
