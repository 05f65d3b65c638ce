"""`jobs.clean_up`: deletes what is over, a bounded batch at a time; a dry run lists what would go.

Called by beat every day, by the API and by people. The promise: only what a registered cleaner finds, only beneath
directories that the settings name, never more than was allowed in one run, and never a recurring schedule.
"""

from datetime import timedelta
from typing import Annotated, Any

from celery import shared_task
from django.conf import settings
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from jobs.bulk import database_now
from jobs.durable import AWAY, Durable, Permanent
from jobs.library import cleaners, old_files
from jobs.library.cleaners import Asked

SHOWN = 100  # names of each kind in the result
CENTURY = timedelta(days=36500)


def _known(name: str) -> str:
    return cleaners.named(name).name


class Wanted(BaseModel):
    """What to clean up. `older_than` is seconds, or ISO 8601: P30D is thirty days, PT12H twelve hours."""

    model_config = ConfigDict(extra="forbid")

    what: Annotated[list[Annotated[str, AfterValidator(_known)]], Field(min_length=1)]
    older_than: Annotated[timedelta, Field(ge=timedelta(), le=CENTURY)]
    pattern: Annotated[str, Field(min_length=1, max_length=100)] = "*"  # of a file's name: *.log
    root: str = ""  # a name of JOBS_CLEAN_ROOTS; empty: the cleaner's own
    folder: str = ""  # within the root
    dry_run: bool = False
    at_most: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000  # of all kinds together

    @model_validator(mode="after")
    def _allowed(self) -> "Wanted":
        for name in self.what:
            if self.older_than < (least := cleaners.named(name).least):
                raise ValueError(f"{name} touches nothing younger than {least.total_seconds():.0f} seconds")
        if self.root and self.root not in settings.JOBS_CLEAN_ROOTS:
            raise ValueError(f"there is no root {self.root!r}; there are {', '.join(settings.JOBS_CLEAN_ROOTS)}")
        if "/" in self.pattern or "\x00" in self.pattern:
            raise ValueError("a pattern is of a file's name, such as *.log; for a directory there is the folder")
        old_files.parts(self.folder)
        return self


@shared_task(
    base=Durable,
    bind=True,
    name="jobs.clean_up",
    internal=True,
    autoretry_for=(OSError, *AWAY),
    max_retries=3,
    retry_backoff=30,
    time_limit=7200,
    soft_time_limit=7100,
)
def clean_up(self: Durable, wanted: Wanted) -> dict[str, Any]:
    """Returns how many of each kind went (or would go), the first of their names, and whether more are left.

    What could not be deleted keeps nothing else from being cleaned up; at the end the job fails and names it.
    """
    now = database_now()
    asked = Asked(
        now - wanted.older_than,
        now,
        pattern=wanted.pattern,
        root=wanted.root,
        folder=wanted.folder,
        dry_run=wanted.dry_run,
        left=wanted.at_most,
    )
    counts: dict[str, int] = dict.fromkeys(wanted.what, 0)
    shown: dict[str, list[str]] = {name: [] for name in wanted.what}
    for name in wanted.what:
        try:
            for batch in cleaners.named(name).clean(asked):
                counts[name] += len(batch)
                asked.left -= len(batch)
                shown[name] += batch[: SHOWN - len(shown[name])]
                self.running.check_cancelled()
                self.running.progress(sum(counts.values()), wanted.at_most, name)
                if asked.left <= 0:
                    return _told(wanted, counts, shown, asked.stuck, more=True)
        except ValueError as exc:  # a folder that is a link
            raise Permanent(str(exc)) from exc
    return _told(wanted, counts, shown, asked.stuck, more=False)


def _told(
    wanted: Wanted, counts: dict[str, int], shown: dict[str, list[str]], stuck: list[str], *, more: bool
) -> dict[str, Any]:
    if stuck:
        gone, named = sum(counts.values()), "; ".join(stuck[:5]) + ("; ..." if len(stuck) > 5 else "")
        raise Permanent(
            f"{gone:,} were cleaned up, {len(stuck):,} could not be read or deleted: {named}. "
            "Let the user of the worker delete them."
        )
    return {"dry_run": wanted.dry_run, "counts": counts, "shown": shown, "more_is_left": more}
