"""What requests are made of: the base of every input, and the kinds of its fields.

Used by every router. The promise: a name that an operation does not know is refused, never ignored, and what passes
fits into its column on every database.
"""

import re
from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field

from jobs.options import FIRST_YEAR, LAST_YEAR

NUMBER = re.compile(r"[-+]?[\d_]*\.?[\d_]+(e[-+]?\d+)?", re.IGNORECASE)


class Asked(Schema):
    """The base of every body and every set of filters."""

    model_config = ConfigDict(extra="forbid")


def _written(value: Any) -> Any:
    """No number: one would be seconds, or milliseconds when it is large, since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and NUMBER.fullmatch(value.strip())):
        raise ValueError("is a number; write a moment with its zone: 2027-01-31T09:00:00+01:00")
    return value


def _near(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"is not between {FIRST_YEAR} and {LAST_YEAR}")
    return moment


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_written),
    AfterValidator(_near),
    Field(description="with a zone: 2027-01-31T09:00:00+01:00"),
]
Reason = Annotated[str, Field(max_length=1_000, description="why; kept with each job and in the record")]
Name = Annotated[str, Field(max_length=100)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=3_153_600_000, allow_inf_nan=False)]
Arguments = dict[str, Any]


class Why(Asked):
    reason: Reason = ""


class WhyInQuery(Asked):
    """For what has no body. Shorter: servers take addresses of some thousand letters only."""

    reason: str = Field("", max_length=300, description="why; kept with the job and in the record")
