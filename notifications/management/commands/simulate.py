"""`manage.py simulate`: what would go out in the next days, by a virtual clock through the real planning.

manage.py simulate --days 14                      today and the 13 days after it, by the stored rules
manage.py simulate --print-rules > rules.json     the stored rules, to be edited
manage.py simulate --days 14 --rules rules.json   by those instead, with the difference to now
manage.py simulate --from 2027-03-22 --json       for programs
manage.py simulate --tenant north                 what one tenant's customers would get

Writes nothing. Wrong input ends with 2.
"""

import json
from argparse import ArgumentParser
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.translation import gettext as _

from jobs.management.operator import OperatorCommand
from notifications import rule_files
from notifications.management import calendars
from notifications.management.importing import tenant
from notifications.management.reporting import progress_bar
from notifications.simulation import RuleSet, number, simulate
from notifications.tallies import Difference, Tally, midnight

WRONG_INPUT = 2
LONGEST = 366  # days
YEARS = (1970, 2200)


class Command(OperatorCommand):
    help = "Show what would go out in the next days, by the stored rules or by those of a file. Writes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=7, help="how many, with the first (default: 7)")
        parser.add_argument("--from", dest="first", metavar="DATE", help="the first day, YYYY-MM-DD (default: today)")
        parser.add_argument(
            "--rules", metavar="FILE", help="rules as JSON instead of the stored ones, see --print-rules"
        )
        parser.add_argument("--print-rules", action="store_true", help="print the stored rules as such a file")
        parser.add_argument("--tenant", type=tenant, help="only what belongs to this tenant")
        parser.add_argument("--json", action="store_true", help="a JSON object instead of tables")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["print_rules"]:
            self.stdout.write(rule_files.written(options["tenant"]))
            return
        if not 1 <= options["days"] <= LONGEST:
            raise _wrong(_("--days %d: give a number from 1 to %d.") % (options["days"], LONGEST))
        first, now, zone = _day(options["first"]), timezone.now(), timezone.get_default_timezone()
        sets = [RuleSet.stored()]
        if options["rules"]:
            sets.append(RuleSet.instead(_rules(options["rules"])))
        # What is due before the first day goes out before it; a past first day is planned as if it were that day.
        now = now if first is None else min(now, midnight(first, zone))
        begins = now if first is None else midnight(first, zone)
        last = begins.astimezone(zone).date() + timedelta(days=options["days"])
        tallies = [Tally(max(begins, now), midnight(last, zone), zone) for _set in sets]
        difference = Difference(tallies[0])
        looked = self._walk(now, sets, tallies, difference, options["tenant"])
        told = (tallies, difference if options["rules"] else None, looked)
        if options["json"]:
            data = calendars.as_data(*told)
            self.stdout.write(json.dumps(data, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False))
        else:
            calendars.show(self.stdout, *told)

    def _walk(
        self, now: datetime, sets: list[RuleSet], tallies: list[Tally], difference: Difference, tenant: str | None
    ) -> int:
        looked, rules = 0, [rule for some in sets for rule in some.rules]
        with progress_bar(number(now, *rules, tenant=tenant), numbers=True) as bar:

            def at(more: int) -> None:
                nonlocal looked
                looked += more
                bar.at(looked, looked)

            for by_set in simulate(now, sets, tenant=tenant, looked=at):
                for tally, fates in zip(tallies, by_set, strict=True):
                    tally.add(fates)
                if len(by_set) > 1:
                    difference.add(*by_set)
        return looked


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise _wrong(_("--from %r is no date. Write it as 2027-03-22.") % text) from None
    if not YEARS[0] <= found.year <= YEARS[1]:
        raise _wrong(_("--from %s: give a year from %d to %d.") % (text, *YEARS))
    return found


def _rules(path: str) -> Any:
    try:
        return rule_files.read(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as exc:
        raise _wrong(_("--rules %s: %s.") % (path, exc.strerror)) from None
    except UnicodeDecodeError:
        raise _wrong(_("--rules %s: this is no text in UTF-8.") % path) from None
    except rule_files.BadRules as exc:
        hint = _("`manage.py simulate --print-rules` prints the stored rules in the right form.")
        raise _wrong("\n".join([*(f"{path}, {problem}" for problem in str(exc).splitlines()), hint])) from None


def _wrong(what: str) -> CommandError:
    return CommandError(what, returncode=WRONG_INPUT)
