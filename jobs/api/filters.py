"""Which jobs: the filters of lists and orders, which become a Selection.

Used by `jobs`, `failures` and `orders`, so that an order reaches what the list shows.
"""

from typing import Annotated, Any, get_args
from uuid import UUID

from pydantic import AfterValidator, Field

from jobs import aliases, listing, neighbours
from jobs.api.asked import Asked, Moment, Name
from jobs.api.callers import Caller
from jobs.api.problems import invalid
from jobs.api.shapes import shown
from jobs.listing import Selection, Word

STATES = [word for word in get_args(Word) if word]

OTHERS = ", ".join(f"{theirs} ({ours})" for theirs, ours in listing.WORDS.items())


def _known(word: str) -> str:
    word = word.strip().lower()
    if word and word not in STATES and word not in listing.WORDS:
        raise ValueError(f"is none. There are {', '.join(STATES)}; also {', '.join(listing.WORDS)}")
    return listing.WORDS.get(word, word)


State = Annotated[
    str,
    Field(
        max_length=20,
        description=f"{', '.join(STATES)}; or as others say: {OTHERS}",
        examples=["failed"],
    ),
    AfterValidator(_known),
]


class JobFilter(Asked):
    """All that is said must hold; nothing said is all jobs."""

    ids: list[UUID] = Field([], max_length=500, description="these jobs")
    state: State = ""
    queue: Name = ""
    task: str = Field("", max_length=255, description="by its name, or another it is known by")
    tenant: Name = ""
    tag: Name = Field("", description="what they are about", examples=["booking:17"])
    signature: str = Field("", max_length=200, description="what they failed of: see /jobs/failed/groups")
    run_from: Moment | None = Field(None, description="due at this moment or later")
    run_until: Moment | None = Field(None, description="due before this moment")
    search: str = Field("", max_length=200, description="an id, a unique key, a tag, or what the application knows")

    def selection(self, who: Caller) -> Selection:
        said: dict[str, Any] = {
            "ids": tuple(self.ids),
            "state": self.state,
            "queue": self.queue,
            "task": aliases.meant(self.task) if self.task else "",
            "tenant": self.tenant,
            "tag": self.tag,
            "signature": self.signature,
            "run_from": self.run_from,
            "run_until": self.run_until,
            "search": self.search.strip(),
            "plainly": bool(self.search.strip()) and not all(who.has(one) for one in neighbours.needed()),
        }
        return who.selection(Selection(**said))


class ListFilter(JobFilter):
    ids: list[UUID] = Field([], max_length=50, description="these jobs; POST /jobs/orders takes more")


def page(selection: Selection, among: Any, limit: int, cursor: str) -> dict[str, Any]:
    """A page of the jobs that are selected: newest first, or by time where time is asked for."""
    try:
        found = listing.page(selection, among, limit, after=cursor)
    except (ValueError, OverflowError):
        raise invalid("cursor", "is none of this list's; pass `next` of the page before") from None
    return {"items": [shown(job) for job in found.jobs], "next": found.after or None}
