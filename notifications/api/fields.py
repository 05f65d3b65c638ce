"""The types of fields: what a body or a query may hold, as long as its column, with an example.

Used by the schemas of all routers. The promise: what passes fits its column, and what does not is told with what to
write instead. The cells of imported files are read by the same code.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal, TypeVar

from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field, WithJsonSchema

from notifications import timing
from notifications.imports import cells

T = TypeVar("T")
LARGEST_AMOUNT = 10**15
DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
TIME = re.compile(r"\d{2}:\d{2}(:\d{2})?", re.ASCII)


class In(Schema):
    """A body or a query: what is not known is refused."""

    model_config = ConfigDict(extra="forbid")


def _zone(name: str) -> str:
    timing.zone(name)
    return name


def _text(pattern: re.Pattern[str], told: str) -> BeforeValidator:
    """A number would be taken for seconds since 1970, and a moment for a date."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and not pattern.fullmatch(value):
            raise ValueError(told)
        if isinstance(value, int | float):
            raise ValueError(told)
        return value

    return BeforeValidator(check)


def _moment(value: Any) -> Any:
    if isinstance(value, int | float) or (isinstance(value, str) and "T" not in value.upper()):
        raise ValueError("is a moment with its offset, such as 2027-03-28T14:30:00+02:00")
    return value


def _in_the_calendar(moment: datetime) -> datetime:
    """At the ends of the calendar no database can compute."""
    if moment.year not in cells.YEARS:
        raise ValueError(f"the year {moment.year} is not between {cells.YEARS[0]} and {cells.YEARS[-1]}")
    return moment


def _unless_empty(parse: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: parse(text) if text else text


NO_DATE = (
    "is a date, such as 2027-03-28, by the calendar of time_zone. A moment (2027-03-28T23:59:59Z) is already the next "
    "day in half of the world"
)

Id = Annotated[int, Field(ge=1, le=2**63 - 1, examples=[17])]
StrictId = Annotated[int, Field(strict=True, ge=1, le=2**63 - 1, examples=[17])]
Amount = Annotated[
    int, Field(strict=True, ge=1, le=LARGEST_AMOUNT, description="in minor units: 1250 EUR is 12.50", examples=[4550])
]
Currency = Annotated[str, Field(max_length=3, description="ISO 4217", examples=["EUR"]), AfterValidator(cells.currency)]
Seconds = Annotated[int, Field(strict=True, ge=1, le=366 * 86_400, description="seconds", examples=[3600])]
Zone = Annotated[str, Field(max_length=64, description="IANA name", examples=["Europe/Berlin"]), AfterValidator(_zone)]
Day = Annotated[date, _text(DATE, NO_DATE), AfterValidator(lambda day: cells.day(day.isoformat()))]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$", examples=["18:00"])]
# What clocks on a wall show. JSON Schema's own format "time" is one with a zone.
WallTime = Annotated[
    time, WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d:\d\d(\.\d+)?$", "examples": ["18:00:00"]})
]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment), AfterValidator(_in_the_calendar)]
ChannelName = Literal["email", "sms", "inbox", "webhook"]
Channels = Annotated[list[ChannelName], Field(max_length=4, description="best first", examples=[["sms", "email"]])]
Tenant = Annotated[
    str | None,
    Field(max_length=100, description="whose it is; empty: the key's only one, or that of an installation without"),
]
ExternalId = Annotated[
    str, Field(min_length=1, max_length=255, description="in your own system; once for each tenant", examples=["b-17"])
]
Email = Annotated[
    str, Field(max_length=254, examples=["alice@example.com"]), AfterValidator(_unless_empty(cells.email))
]
Phone = Annotated[str, Field(max_length=40, examples=["+493023125123"]), AfterValidator(_unless_empty(cells.phone))]
Locale = Annotated[str, Field(max_length=10, examples=["de_CH"]), AfterValidator(cells.locale)]
DryRun = Annotated[bool, Field(description="only tell what it would do")]


def line(longest: int, example: str, about: str = "") -> Any:
    """A text on one line that says something."""
    field = Field(min_length=1, max_length=longest, description=about or None, examples=[example])
    return Annotated[str, field, AfterValidator(cells.line_of_text(longest)), AfterValidator(_said)]


def _said(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return text


Reason = line(300, "burst pipe", "kept on record")


def seconds(value: timedelta | None) -> int | None:
    """As the API tells durations."""
    return None if value is None else round(value.total_seconds())
