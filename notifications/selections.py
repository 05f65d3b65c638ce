"""Which bookings a change to many is about: a filter that people can read, kept with the change.

Used by `bulk` and by the admin. The promise: it means the same bookings whenever it is asked, and never all of them by
mistake: a selection that says nothing is refused.
"""

from datetime import date
from typing import Annotated, Any

from django.db.models import QuerySet
from django.db.models.functions import Now
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from notifications import searches
from notifications.models import Booking

MOST = 2_000  # ids, named one by one


class Selection(BaseModel):
    """Which bookings, of those that are still on. All that is said has to hold.

    What is over is meant only where a day, a first moment or the bookings themselves are named: hardly anybody says of
    a booking that it took place, and "all at the clinic" would be the customers of years, once for each visit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: str = ""  # always one: businesses have nothing to do with one another
    on: date | None = None  # by the venue's clocks
    starts_from: AwareDatetime | None = None
    starts_before: AwareDatetime | None = None
    service: str = ""
    location: str = ""
    customer: int | None = None
    search: str = ""  # see `searches`
    ids: Annotated[tuple[int, ...], Field(max_length=MOST)] = ()

    @model_validator(mode="after")
    def _something(self) -> "Selection":
        if self == type(self).model_construct(tenant=self.tenant):
            raise ValueError("Say which bookings: a day, a time, a service, a location or a customer.")
        if self.search and not searches.words(self.search):
            raise ValueError("There is no word in the search: it would find all bookings.")
        return self

    def bookings(self) -> QuerySet[Booking]:
        asked: dict[str, Any] = {
            "wall_date": self.on,
            "starts_at__gte": self.starts_from,
            "starts_at__lt": self.starts_before,
            "service": self.service,
            "location": self.location,
            "customer": self.customer,
            "pk__in": self.ids,
        }
        said = {column: value for column, value in asked.items() if value not in (None, "", ())}
        rows = Booking.objects.filter(status=Booking.Status.BOOKED, tenant=self.tenant, **said)
        if not (self.on or self.starts_from or self.ids):
            rows = rows.filter(ends_at__gt=Now())
        return searches.searched(rows, self.search)
