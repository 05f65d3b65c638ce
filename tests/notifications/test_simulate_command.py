"""`manage.py simulate`: a calendar, the load per hour, rules of a file, and what is said of wrong input."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from notifications import rule_files
from notifications.forecast import Fate
from notifications.models import Delivery, ReminderRule
from notifications.tallies import Tally, midnight
from tests.factories import DAY, HOUR, alice, bob, make_booking, make_payment
from tests.virtual import virtual_time

pytestmark = pytest.mark.django_db

NOW = datetime(2027, 3, 23, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _then() -> Iterator[None]:
    with virtual_time(NOW):
        yield


def run(*args: str) -> str:
    out = StringIO()
    call_command("simulate", *args, stdout=out)
    return out.getvalue()


def data(*args: str) -> Any:
    return json.loads(run("--json", *args))


def refused(*args: str) -> str:
    with pytest.raises(CommandError) as caught:
        run(*args)
    assert caught.value.returncode == 2
    return str(caught.value)


@pytest.fixture
def booked() -> None:
    """Two bookings at ten o'clock on Thursday, and a payment that is due that day."""
    for customer in (alice(), bob()):
        make_booking(customer, starts=datetime(2027, 3, 25, 10, tzinfo=UTC))
    make_payment(alice(email="a2@example.com", phone="+493012345678"), due=date(2027, 3, 25))


# --- What it tells ---


def test_the_days_with_their_messages(booked: None) -> None:
    found = data("--days", "4")
    assert [(day["date"], day["total"]) for day in found["days"]] == [
        ("2027-03-23", 0),
        ("2027-03-24", 2),
        ("2027-03-25", 5),
        ("2027-03-26", 1),
    ]
    assert found["days"][1]["going"] == [{"channel": "email", "rule": "24 hours before a booking", "number": 2}]
    assert found["total"] == 8 and found["looked_at"] == 3
    assert found["busiest"] == {"from": "2027-03-25T09:00:00+00:00", "number": 4}
    assert sum(hour["number"] for hour in found["hours"]) == 8


def test_the_first_day_may_be_a_later_one(booked: None) -> None:
    found = data("--days", "1", "--from", "2027-03-25")
    assert [(day["date"], day["total"]) for day in found["days"]] == [("2027-03-25", 5)]
    assert len(found["hours"]) == 24


def test_what_does_not_go_out_is_there_with_its_reason(booked: None) -> None:
    ReminderRule.objects.filter(name__startswith="24 hours").update(channels=["sms"])
    found = data("--days", "4")["days"][1]
    assert found["going"] == [] and found["not"] == [
        {"kind": "withdrawn", "reason": "no_address", "number": 2},
    ]


def test_a_table_for_people_says_what_was_assumed_and_names_nobody(booked: None) -> None:
    told = run("--days", "4")
    assert "Thu 2027-03-25" in told and "Busiest hour: 4 messages on 2027-03-25 from 09:00." in told
    assert "█" in told and "caps per day and digests are decided as at the moment of sending" in told
    assert "Alice" not in told and "@" not in told


# --- Rules of a file ---


def rules_file(tmp_path: Path, rules: Any) -> str:
    path = tmp_path / "rules.json"
    path.write_text(rules if isinstance(rules, str) else json.dumps(rules, indent=1))
    return str(path)


def test_the_stored_rules_in_a_file_change_nothing(booked: None, tmp_path: Path) -> None:
    found = data("--days", "9", "--rules", rules_file(tmp_path, run("--print-rules")))
    assert found["difference"] == {}
    assert found["days"] == found["now"]["days"]


def test_other_rules_and_what_they_change(booked: None, tmp_path: Path) -> None:
    rules = json.loads(run("--print-rules"))
    by_name = {rule["name"]: rule for rule in rules}
    by_name["1 hour before a booking"]["offset"] = "-02:00:00"
    by_name["On the day a payment is due"]["channels"] = ["sms", "email"]
    kept = [rule for rule in rules if not rule["name"].startswith("15 min")]
    kept.append({"name": "New", "anchor": "booking_start", "offset": "-05:00:00", "message": "booking_upcoming"})
    found = data("--days", "9", "--rules", rules_file(tmp_path, kept))
    nothing = dict.fromkeys(("added", "moved", "other_channel", "withdrawn"), 0)
    assert found["difference"] == {
        "15 minutes before a booking": nothing | {"withdrawn": 2},
        "1 hour before a booking": nothing | {"moved": 2},
        "New": nothing | {"added": 2},
        "On the day a payment is due": nothing | {"other_channel": 1},
    }
    assert found["total"] == found["now"]["total"]
    told = run("--days", "9", "--rules", rules_file(tmp_path, kept))
    total = found["total"]
    assert f"By the stored rules {total} go out in these days, by those of the file {total}." in told
    assert not ReminderRule.objects.filter(name="New").exists()


@pytest.fixture
def of_tenants() -> None:
    """A booking each for a customer of the north, of the south and of nobody; the south has a rule of its own."""
    for tenant in ("north", "south", ""):
        make_booking(alice(tenant=tenant), starts=datetime(2027, 3, 25, 10, tzinfo=UTC))
    ReminderRule.objects.create(
        tenant="south",
        name="The south's",
        anchor="booking_start",
        offset=-timedelta(hours=5),
        message="booking_upcoming",
        channels=["email"],
    )


def test_one_tenants_alone(of_tenants: None) -> None:
    """As many as the same tenant's customers would get if there were no others."""
    every = data("--days", "4")
    assert every["looked_at"] == 3
    by_tenant = {tenant: data("--days", "4", "--tenant", tenant) for tenant in ("north", "south", "")}
    assert [by_tenant[tenant]["total"] for tenant in ("north", "south", "")] == [3, 4, 3]
    assert [found["looked_at"] for found in by_tenant.values()] == [1, 1, 1]
    assert sum(found["total"] for found in by_tenant.values()) == every["total"]
    assert data("--days", "4", "--tenant", "east")["total"] == 0
    names = {row["rule"] for day in by_tenant["north"]["days"] for row in day["going"]}
    assert "The south's" not in names


def test_other_rules_for_one_tenant(of_tenants: None, tmp_path: Path) -> None:
    rules = json.loads(run("--print-rules", "--tenant", "south"))
    assert "The south's" in {rule["name"] for rule in rules}
    assert "The south's" not in run("--print-rules", "--tenant", "north")
    kept = [rule for rule in rules if rule["name"] != "The south's"]
    file = rules_file(tmp_path, kept)
    nothing = dict.fromkeys(("added", "moved", "other_channel", "withdrawn"), 0)
    gone = {"The south's": nothing | {"withdrawn": 1}}
    assert data("--days", "4", "--tenant", "south", "--rules", file)["difference"] == gone
    assert data("--days", "4", "--tenant", "north", "--rules", file)["difference"] == {}


def test_a_tenant_is_a_name() -> None:
    with pytest.raises(CommandError, match="a tenant has a name"):
        run("--tenant", " north")


BAD = """[
  {"name": "1 hour before a booking",
   "offset": -1,
   "chanels": ["sms"],
   "channels": ["fax"]},
  {"name": "Often", "anchor": "payment_due", "offset": "1 00:00:00", "message": "payment_overdue",
   "repeat_times": 3},
  {"name": "Night", "anchor": "booking_start", "offset": "-01:00:00", "message": "m", "quiet_from": "21:00"},
  {"name": "Night"}, {"offset": "01:00:00"}, 7
]"""


def test_all_that_is_wrong_is_told_with_line_and_field(tmp_path: Path) -> None:
    told = refused("--rules", rules_file(tmp_path, BAD))
    for line in (
        "line 3, offset: a duration is a text such as",
        "line 4, chanels: there is no such field. There are: tenant, name, anchor,",
        "line 5, channels: A list of channels, each once, of email, sms, inbox, webhook.",
        "line 6: A rule that repeats needs an interval",
        "line 8: Quiet hours need both a beginning and an end.",
        "line 9, name: there are two rules of the name “Night”.",
        "line 9, name: a rule needs its name.",
        "line 9: a rule is an object",
    ):
        assert f"rules.json, {line}" in told
    assert told.count("rules.json, ") == 8
    assert "--print-rules" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: this is no JSON"),
        ('[{"name": "x",\n}]', "line 2: this is no JSON"),
        ("[]\n[]", "line 2: this is no JSON"),
        ('{"name": "x"}', "line 1: the file has to be a list"),
        ("[" * 100_000, "nested too deeply"),
        (" " * 1_000_001, "more than a million characters"),
        ('[{"name": "x", "active": 1}]', "active: it is true or false"),
        ('[{"name": "x", "per_day": "1"}]', "per_day: it is a whole number"),
        ('[{"name": "x", "at_time": 18}]', "at_time: a time of day"),
        ('[{"name": "x", "at_time": "25:00"}]', "at_time: "),
        ('[{"name": "x", "message": 5}]', "message: it is a text"),
        ('[{"name": "x", "offset": "-800 00:00:00"}]', "offset: A reminder goes out within two years"),
        ('[{"name": "x", "repeat_times": 101}]', "repeat_times: "),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, told: str) -> None:
    assert told in refused("--rules", rules_file(tmp_path, text))


def test_an_empty_list_switches_everything_off(booked: None, tmp_path: Path) -> None:
    assert data("--days", "9", "--rules", rules_file(tmp_path, "[]"))["total"] == 0


def test_what_is_stored_stays_as_it_is_where_the_file_is_silent() -> None:
    (rule,) = rule_files.read('[{"name": "15 minutes before a booking", "quiet": "later"}]')
    stored = ReminderRule.objects.get(name__startswith="15 min")
    assert (rule.pk, rule.offset, rule.quiet, stored.quiet) == (stored.pk, stored.offset, "later", "skip")


def test_other_wrong_input_says_what_to_do(tmp_path: Path) -> None:
    assert "from 1 to 366" in refused("--days", "0")
    assert "Write it as 2027-03-22" in refused("--from", "tomorrow")
    assert "No such file" in refused("--rules", str(tmp_path / "none.json"))
    (tmp_path / "latin.json").write_bytes(b'[{"name": "\xe4"}]')
    assert "no text in UTF-8" in refused("--rules", str(tmp_path / "latin.json"))


def test_the_shell_sees_it_too() -> None:
    command = [sys.executable, "manage.py", "simulate", "--days", "0"]
    done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "from 1 to 366" in done.stderr


# --- Days on which the clocks change ---


@pytest.mark.parametrize(("day", "hours"), [("2027-03-28", 23), ("2027-10-31", 25), ("2027-06-01", 24)])
def test_a_day_has_as_many_hours_as_its_clocks_show(day: str, hours: int) -> None:
    berlin, first = ZoneInfo("Europe/Berlin"), datetime.fromisoformat(day).date()
    tally = Tally(midnight(first, berlin), midnight(first + DAY, berlin), berlin)
    rule = ReminderRule(name="R")
    every_half_hour = [
        Fate(Delivery(channel="email", rule=rule), tally.begins + n * timedelta(minutes=30)) for n in range(60)
    ]
    tally.add(every_half_hour)
    told = tally.as_data()
    assert [hour["number"] for hour in told["hours"]] == [2] * hours
    assert told["days"][0]["total"] == 2 * hours
    shown = Counter({hour: most for hour, _, most in tally.by_clock()})
    assert shown[2] == (0 if hours == 23 else 2)
    assert HOUR * hours == tally.ends - tally.begins
