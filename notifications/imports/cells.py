"""From the text of a cell to a value: times, zones, money, addresses.

Called by `rows` for every cell of a file that is imported. Touches neither database nor clock. The promise: whatever
the text, the answer is a value, or a ValueError that says what is wrong with it and what to write instead.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale, UnknownLocaleError
from babel.numbers import is_currency
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON
from phonenumber_field.phonenumber import PhoneNumber
from phonenumbers import NumberParseException

from notifications import amounts

YEARS = range(1970, 2200)  # outside of these it is a typing mistake, and date arithmetic may overflow
LONGEST_BOOKING = timedelta(days=366)
AMOUNT = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
LARGEST_AMOUNT = 10**15  # in minor units; the column holds a little more


def shown(text: str) -> str:
    """The text as an error message quotes it: escaped, so that it cannot drive a terminal, and not endless."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def line_of_text(longest: int) -> Callable[[str], str]:
    """A parser for text on one line. White space, line breaks included, becomes single blanks."""

    def parse(text: str) -> str:
        line = " ".join(text.split())
        if not line.isprintable():
            for letter in line:
                if unicodedata.category(letter) in ("Cc", "Cs"):
                    raise ValueError(f"holds the control character U+{ord(letter):04X}; remove it")
        if len(line) > longest:
            raise ValueError(f"is {len(line):,} characters long; at most {longest} are kept")
        return line

    return parse


def one_of(choices: Iterable[str]) -> Callable[[str], str]:
    """A parser for a word from a short list."""
    known = list(choices)

    def parse(text: str) -> str:
        if text.casefold() not in known:
            raise ValueError(f"{shown(text)} is none of: {', '.join(known)}")
        return text.casefold()

    return parse


# --- When ----------------------------------------------------------------------------------------------


def zone(text: str) -> str:
    """The name of an IANA zone."""
    if reason := _not_a_zone(text[:65]):  # no name is longer, and the cache is to stay small
        raise ValueError(reason)
    return text


@lru_cache(maxsize=4096)
def _not_a_zone(text: str) -> str:
    """Why the text is no zone's name; empty if it is one."""
    zones = _zones()
    if zones.get(text.casefold()) == text:
        return ""
    windows = WINDOWS_TO_OLSON.get(text)
    words = text.casefold().strip().replace(" ", "_")
    by_city = [name for folded, name in zones.items() if folded.rpartition("/")[2] == words.rpartition("/")[2]]
    close = [zones[near] for near in get_close_matches(words, zones, n=3)]
    near = list(dict.fromkeys(([windows] if windows else []) + by_city[:3] + close))[:3]
    advice = f"Did you mean {' or '.join(near)}?" if near else "Use an IANA name such as Europe/Berlin."
    return f"{shown(text)} is not a time zone. {advice}"


@lru_cache(maxsize=1)
def _zones() -> dict[str, str]:
    return {name.casefold(): name for name in sorted(available_timezones())}


def moment(text: str, zone_name: str | None) -> datetime:
    """A moment from ISO 8601. Without an offset it is what the clocks of `zone_name` show."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a time. Write 2027-03-28T14:30 or 2027-03-28T14:30+02:00.") from None
    if len(text) <= len("2027-03-28"):
        raise ValueError(f"{shown(text)} is a date without a time of day. Write {value:%Y-%m-%d}T14:30.")
    if value.tzinfo is None:
        return from_wall(value, zone_name)
    check_year(value)
    return value.astimezone(UTC)


def from_wall(value: datetime, zone_name: str | None) -> datetime:
    """The moment when the clocks of the zone show `value`, the first one if they show it twice."""
    if zone_name is None:
        raise ValueError(
            f"{value.isoformat()} names no time zone. Add an offset (+02:00), a time_zone column, or pass --time-zone."
        )
    check_year(value)
    found = value.replace(fold=0, tzinfo=ZoneInfo(zone_name)).astimezone(UTC)
    back = found.astimezone(ZoneInfo(zone_name)).replace(tzinfo=None, fold=0)
    if back != value.replace(fold=0):
        raise ValueError(
            f"{value:%Y-%m-%d %H:%M} does not exist in {zone_name}: the clocks are put forward over it. "
            f"Did you mean {back:%Y-%m-%d %H:%M}?"
        )
    return found


def day(text: str) -> date:
    """A date from ISO 8601."""
    try:
        value = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a date. Write it as 2027-03-28.") from None
    check_year(value)
    return value


def check_year(value: date) -> None:
    """Raises ValueError."""
    if value.year not in YEARS:
        raise ValueError(f"the year {value.year} is not between {YEARS[0]} and {YEARS[-1]}")


def minutes(text: str) -> timedelta:
    """A duration in whole minutes."""
    if not (text.isascii() and text.isdigit() and len(text) < 7 and int(text)):
        raise ValueError(f"{shown(text)} is not a number of minutes. Write 45.")
    return lasting(timedelta(minutes=int(text)))


def lasting(duration: timedelta) -> timedelta:
    """The duration, if a booking can last that long."""
    if not timedelta() < duration <= LONGEST_BOOKING:
        raise ValueError(f"a booking lasts more than nothing and at most {LONGEST_BOOKING.days} days")
    return duration


# --- Who -----------------------------------------------------------------------------------------------


def email(text: str) -> str:
    """An e-mail address. Domains mean the same in any case, so theirs is lowered; the rest stays as it was written."""
    try:
        validate_email(text)
    except ValidationError:
        raise ValueError(f"{shown(text)} is not an e-mail address. Write name@example.com.") from None
    local, _, domain = text.rpartition("@")
    if not local.isascii():
        raise ValueError(f"{shown(text)} has letters before the @ that mail servers do not take.")
    return line_of_text(254)(f"{local}@{domain.lower()}")


def phone(text: str) -> str:
    """A phone number, as E.164."""
    try:
        number = PhoneNumber.from_string(text)
    except NumberParseException:
        number = None
    if number is None or not number.is_valid():
        raise ValueError(
            f"{shown(text)} is not a phone number. Write it with its country code, as +493023125123, or leave it empty."
        )
    return str(number.as_e164)


def locale(text: str) -> str:
    """A language, with a country or without."""
    if len(text) > 35 or not _is_locale(text):
        raise ValueError(f"{shown(text)} is not a locale. Write a language such as de, or de_CH.")
    return line_of_text(10)(text.replace("-", "_"))


@lru_cache(maxsize=1024)
def _is_locale(text: str) -> bool:
    try:
        Locale.parse(text.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return False
    return True


# --- How much ------------------------------------------------------------------------------------------


def currency(text: str) -> str:
    """A currency's ISO 4217 code."""
    code = text.upper()
    if not (code.isascii() and is_currency(code)):
        raise ValueError(f"{shown(text)} is not a currency. Use an ISO 4217 code such as EUR.")
    return code


def money(text: str, code: str, *, or_nothing: bool = False) -> int:
    """Minor units from a decimal in major units: "12.50" EUR is 1250."""
    if not AMOUNT.fullmatch(text):
        raise ValueError(f"{shown(text)} is not an amount. Write digits with a point before the decimals: 1234.50")
    digits = amounts.decimals(code)
    if len(text.partition(".")[2]) > digits:
        decimals = "no decimals" if digits == 0 else f"{digits} decimals"
        raise ValueError(f"{shown(text)} {code} has too many decimals; {code} has {decimals}.")
    if len(text) > 20 or (minor := int(Decimal(text).scaleb(digits))) > LARGEST_AMOUNT:
        raise ValueError(f"{shown(text)} is too large an amount")
    if minor == 0 and not or_nothing:
        raise ValueError("the amount is nothing; there is no payment to remind of")
    return minor
