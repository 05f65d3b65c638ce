"""`manage.py api_key`: make, list, rotate and revoke keys of the API where there is no browser.

    manage.py api_key make "booking site" bookings:read bookings:write --tenant north --days 90
    manage.py api_key list
    manage.py api_key rotate pk_0123456789 --overlap-hours 24
    manage.py api_key revoke pk_0123456789

A key is printed once, alone on standard output, so that it can be piped to where secrets are kept; with --json beside
its prefix. Exit codes: 0 done; 2 wrong usage; 3 no such key, or it was over before.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils import timezone

from jobs.access import ApiKey
from jobs.api import keys
from jobs.api.scopes import SCOPES
from jobs.management import words
from jobs.management.operator import OperatorCommand
from jobs.management.terminal import NotDone, Terminal, Usage
from jobs.management.verbs import verb

LONGEST_DAYS = 36_500
COLUMNS = ("prefix", "name", "state", "until", "last_used", "scopes")


class Command(OperatorCommand):
    help = "Make, list, rotate and revoke keys of the API."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        new = verb(verbs, "make", make, "a new key, printed once")
        new.add_argument("name", help="which program has it")
        new.add_argument("scopes", nargs="+", metavar="SCOPE", help=f"all, or of: {', '.join(sorted(SCOPES))}")
        for one in ("queue", "task", "tenant"):
            new.add_argument(
                f"--{one}",
                dest=f"{one}s",
                metavar=one.upper(),
                action="append",
                default=[],
                help="only this; may be repeated",
            )
        new.add_argument("--user", help="the key may at most what this user may (default: everything named)")
        days, hours = words.number(1, LONGEST_DAYS), words.number(0, 24 * LONGEST_DAYS)
        new.add_argument("--days", type=days, metavar="NUMBER", help="until it is over (default: never)")
        rate = "requests a minute (default: API_RATE_OF_KEY)"
        new.add_argument("--per-minute", type=words.number(1, 1_000_000), metavar="NUMBER", help=rate)
        verb(verbs, "list", list_keys, "which keys there are, without the keys")
        again = verb(verbs, "rotate", rotate, "a new key that may the same; the old one goes on for a while")
        again.add_argument("prefix")
        again.add_argument("--overlap-hours", type=hours, default=24, metavar="NUMBER", help="(default: 24)")
        revoke_one = verb(verbs, "revoke", revoke, "refuse a key from now on")
        revoke_one.add_argument("prefix")

    def handle(self, *args: Any, **options: Any) -> None:
        options["act"](options, Terminal(self, options))


def make(options: Mapping[str, Any], terminal: Terminal) -> None:
    wanted = sorted(SCOPES) if options["scopes"] == ["all"] else options["scopes"]
    if unknown := sorted(set(wanted) - set(SCOPES)):
        raise Usage(f"There is no scope {words.shortly(unknown[0])}. There are: {', '.join(sorted(SCOPES))}.")
    user = User.objects.filter(username=options["user"]).first() if options["user"] else None
    if options["user"] is not None and user is None:
        raise Usage(f"There is no user {words.shortly(options['user'])}.")
    limits = {name: options[name] for name in ("queues", "tasks", "tenants", "per_minute")}
    ends = timezone.now() + timedelta(days=options["days"]) if options["days"] else None
    try:
        made = keys.issue(options["name"], wanted, by=user, expires_at=ends, **limits)
    except ValidationError as exc:
        raise Usage(" ".join(f"{name}: {' '.join(said)}" for name, said in exc.message_dict.items())) from None
    _print(*made, options, terminal)


def list_keys(options: Mapping[str, Any], terminal: Terminal) -> None:
    def told(row: ApiKey) -> dict[str, Any]:
        over = row.expires_at is not None and row.expires_at <= timezone.now()
        return {
            "prefix": row.prefix,
            "name": row.name,
            "state": "revoked" if row.revoked_at else "over" if over else "in force",
            "until": row.expires_at,
            "last_used": row.last_used_at,
            "scopes": " ".join(row.scopes),
        }

    if not terminal.rows(map(told, ApiKey.objects.order_by("pk")), COLUMNS):
        raise NotDone("There are no keys.")


def rotate(options: Mapping[str, Any], terminal: Terminal) -> None:
    made = keys.rotate(_found(options["prefix"]), timedelta(hours=options["overlap_hours"]))
    if made is None:
        raise NotDone("This key was rotated, revoked or over before.")
    _print(*made, options, terminal)


def revoke(options: Mapping[str, Any], terminal: Terminal) -> None:
    row = _found(options["prefix"])
    if not keys.revoke(row, by=words.login()):
        raise NotDone("This key was revoked before.")
    terminal.say(f"Revoked {row}.", revoked=row.prefix, name=row.name)


def _found(prefix: str) -> ApiKey:
    row = ApiKey.objects.filter(prefix=prefix).first()
    if row is None:
        raise NotDone(f"There is no key {words.shortly(prefix)}. `manage.py api_key list` tells them.")
    return row


def _print(row: ApiKey, whole: str, options: Mapping[str, Any], terminal: Terminal) -> None:
    if options["json"]:
        terminal.record({"prefix": row.prefix, "name": row.name, "key": whole})
        return
    terminal.warn(f"{row.name}: this is its key, shown only this once.")
    terminal.out.write(f"{whole}\n")
