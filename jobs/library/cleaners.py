"""What may be cleaned up: cleaners that are registered, each with the least age that it touches.

Asked by `clean_up`. A cleaner yields what goes, a batch at a time, by names that tell nobody who a customer is; in a
dry run the same names, and it deletes nothing. None touches what is still to be done, or a recurring schedule.
"""

import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet

from jobs import pruner
from jobs.ids import parsed
from jobs.library import old_files, storage
from jobs.models import Job, StoredFile

BATCH = 500  # rows a transaction
Batches = Iterator[list[str]]


@dataclass
class Asked:
    """`before` is the moment before which something has to have ended, or to have been changed last.

    `left` is how many may still go: whoever asks counts it down between two batches. `stuck` are those that should have
    gone and could not be deleted, each with its reason.
    """

    before: datetime
    now: datetime
    pattern: str = "*"
    root: str = ""
    folder: str = ""
    dry_run: bool = False
    left: int = sys.maxsize
    stuck: list[str] = field(default_factory=list)

    @property
    def batch(self) -> int:
        return min(BATCH, self.left)


@dataclass(frozen=True)
class Cleaner:
    name: str
    clean: Callable[[Asked], Batches]
    least: timedelta = timedelta()  # nothing younger, whoever asks


_registered: dict[str, Cleaner] = {}


def register(*cleaners: Cleaner) -> None:
    _registered.update({cleaner.name: cleaner for cleaner in cleaners})


def named(name: str) -> Cleaner:
    """Raises ValueError for one that nobody registered."""
    if name not in _registered:
        raise ValueError(f"there is nothing called {name!r} to clean up; there are {', '.join(sorted(_registered))}")
    return _registered[name]


def in_batches(rows: "QuerySet[Any]", asked: Asked, remove: Callable[[list[Any]], object]) -> Iterator[list[Any]]:
    """The keys of the rows, by key, each batch removed before it is told."""
    last = None
    while True:
        following = rows if last is None else rows.filter(pk__gt=last)
        keys = list(following.order_by("pk").values_list("pk", flat=True)[: asked.batch])
        if not keys:
            return
        last = keys[-1]
        if not asked.dry_run:
            remove(keys)
        yield keys


def _files(usual: str) -> Callable[[Asked], Batches]:
    def clean(asked: Asked) -> Batches:
        root = settings.JOBS_CLEAN_ROOTS[asked.root or usual]
        yield from old_files.removed(
            root,
            asked.folder,
            asked.pattern,
            asked.before.timestamp(),
            batch=lambda: asked.batch,
            dry_run=asked.dry_run,
            stuck=asked.stuck,
        )

    return clean


def _sessions(asked: Asked) -> Batches:
    """Told by number: a session's key is as good as a login."""
    over = Session.objects.filter(expire_date__lt=asked.before)
    for keys in in_batches(over, asked, lambda keys: over.filter(pk__in=keys).delete()):
        yield [f"session {n}" for n, _key in enumerate(keys, 1)]


def _stored(asked: Asked) -> Batches:
    """Files whose time is over; then what the storage has of which no row knows: its writer died in between."""
    over = StoredFile.objects.filter(expires_at__lt=asked.before)
    for keys in in_batches(over, asked, lambda keys: storage.remove(over.filter(pk__in=keys))):
        yield [f"file {key}" for key in keys]
    yield from _unknown(asked)


def _unknown(asked: Asked) -> Batches:
    place, border = storage.storage(), min(asked.before, asked.now - timedelta(days=1))
    folders = place.listdir("")[0] if place.exists("") else []
    for folder in sorted(folders):
        ids = {pk: f"{folder}/{name}" for name in place.listdir(folder)[1] if (pk := parsed(name))}
        for keys in _without_rows(sorted(ids)):
            old = [pk for pk in keys if place.get_modified_time(ids[pk]) < border][: asked.batch]
            for pk in () if asked.dry_run else old:
                place.delete(ids[pk])
            if old:
                yield [f"file without a row {pk}" for pk in old]


def _without_rows(ids: list[uuid.UUID]) -> Iterator[list[uuid.UUID]]:
    for first in range(0, len(ids), BATCH):
        some = ids[first : first + BATCH]
        known = set(StoredFile.objects.filter(pk__in=some).values_list("pk", flat=True))
        yield [pk for pk in some if pk not in known]


def _jobs(asked: Asked) -> Batches:
    """Finished ones, and none before the days that the settings keep them; their unique keys stay."""
    old = Q(pk__in=[])
    for state, days in settings.JOBS_KEEP_DAYS.items():
        old |= Q(state=state, finished_at__lt=min(asked.before, asked.now - timedelta(days=days)))
    over = Job.objects.finished().filter(old)
    for keys in in_batches(over, asked, lambda keys: pruner.drop(over.filter(pk__in=keys))):
        yield [f"job {key}" for key in keys]


OURS = (
    Cleaner("temp_files", _files("work"), timedelta(hours=6)),  # an export may write for two hours
    Cleaner("old_logs", _files("logs"), timedelta(days=1)),
    Cleaner("expired_sessions", _sessions),
    Cleaner("expired_files", _stored),
    Cleaner("old_jobs", _jobs, timedelta(days=1)),
)
