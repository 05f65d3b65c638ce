"""What recurs elsewhere, as a schedule of ours: a row of django-celery-beat's, which `schedules` runs.

Used by imports. The promise: it means the same here, or is refused with the reason.
"""

import json
import zoneinfo
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from jobs import crons
from jobs.durable import Durable
from jobs.models import Job
from jobs.transfer.owed import BadRow, Recurs

LONGEST_NAME = 200
SECOND = timedelta(seconds=1)


def schedule(recurs: Recurs, kind: Durable, job: Job, queue: str = "") -> Any:
    """The row, not yet inserted. `job` has the arguments. Raises BadRow."""
    if len(recurs.name) > LONGEST_NAME:
        raise BadRow(f"its name has more than {LONGEST_NAME} letters")
    row = PeriodicTask(name=recurs.name, task=kind.name, queue=queue or None)
    row.args, row.kwargs = json.dumps(job.args), json.dumps(job.kwargs)
    row.description = "imported"
    if recurs.every is not None:
        if recurs.every < SECOND or recurs.every % SECOND:
            raise BadRow(f"it recurs every {recurs.every.total_seconds():g} s; schedules here count whole seconds")
        row.interval = IntervalSchedule(every=recurs.every // SECOND, period=IntervalSchedule.SECONDS)
        return row
    row.crontab = _crontab(recurs)
    return row


def _crontab(recurs: Recurs) -> Any:
    text = recurs.cron.split()
    if len(text) == 6 and text[0] in ("0", "00"):
        text = text[1:]  # at second 0, as ours always are
    try:
        fields = crons.read(" ".join(text))
        zone = zoneinfo.ZoneInfo(recurs.zone)
    except (zoneinfo.ZoneInfoNotFoundError, OSError):
        raise BadRow(f"there is no zone {recurs.zone!r}") from None
    except ValueError as exc:
        raise BadRow(f"its cron text {recurs.cron!r} {exc}") from None
    return CrontabSchedule(timezone=zone, **{name: getattr(fields, name) for name in crons.FIELDS})


def insert(row: Any) -> bool:
    """Whether it is new: a schedule of that name stays as it is, for somebody may have changed it since."""
    if PeriodicTask.objects.filter(name=row.name).exists():
        return False
    try:
        with transaction.atomic():
            for name in ("interval", "crontab"):
                one = getattr(row, name)
                if one is not None:
                    wanted = {
                        field.name: getattr(one, field.name) for field in one._meta.fields if not field.primary_key
                    }
                    setattr(row, name, type(one).objects.filter(**wanted).first() or type(one).objects.create(**wanted))
            row.save(force_insert=True)
    except IntegrityError:  # somebody who imports the same was first
        return False
    return True
