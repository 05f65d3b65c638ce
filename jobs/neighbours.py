"""What the application around the ledger knows of jobs: how to find them by its own words, and where they lead.

The ledger imports nothing of the product; the product registers here when it starts, and the admin asks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from jobs.models import Job

MOST = 1_000  # ids that a finder gives


@dataclass(frozen=True)
class Found:
    """What a search means: tags of jobs, and ids."""

    tags: tuple[str, ...] = ()
    ids: tuple[UUID, ...] = ()


@dataclass
class Neighbour:
    """`find` reads a search; `links` are (title, address) beside a job; `shown` hides what not everybody may read."""

    find: Callable[[str], Found] = lambda term: Found()
    links: Callable[[Job], Iterable[tuple[str, str]]] = lambda job: ()
    find_plainly: Callable[[str], Found] = lambda term: (
        Found()
    )  # for who may not know whether a guess of a name is right
    needed: str = ""  # the permission without which it is `find_plainly` that reads
    shown: Callable[[str], str] = field(default=lambda text: text)


_registered: list[Neighbour] = []


def register(neighbour: Neighbour) -> None:
    _registered.append(neighbour)


def find(term: str, *, plainly: bool = False) -> Found:
    """What all of them make of a search."""
    found = [(neighbour.find_plainly if plainly else neighbour.find)(term) for neighbour in _registered]
    return Found(tuple(tag for one in found for tag in one.tags), tuple(pk for one in found for pk in one.ids)[:MOST])


def needed() -> set[str]:
    """The permissions that a search by everything needs."""
    return {neighbour.needed for neighbour in _registered if neighbour.needed}


def links(job: Job) -> list[tuple[str, str]]:
    return [link for neighbour in _registered for link in neighbour.links(job)]


def shown(text: str) -> str:
    """What a machine said (an error, a traceback), as whoever asks may read it."""
    for neighbour in _registered:
        text = neighbour.shown(text)
    return text
