"""The tables of time: Clock, what dispatchers tell each other, and SchedulePolicy, what becomes of missed runs.

Descriptions only; `ticks` and `schedules` act on them.
"""

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from jobs.occurrences import Missed


class Clock(models.Model):
    """What dispatchers tell each other: one row. Without it nothing is lost, a fresh one is made."""

    ONLY = 1
    now: datetime  # when it was read, see row()

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    ticked_at = models.DateTimeField(
        _("ticked at"), null=True, blank=True, help_text=_("the last tick, by the database's clock")
    )
    ticked_by = models.CharField(
        _("ticked by"), max_length=255, blank=True, help_text=_("clock, or the worker that stood in for it")
    )
    epoch = models.CharField(
        _("epoch"), max_length=36, blank=True
    )  # the name of our mark in a broker that keeps no values
    held_since = models.DateTimeField(
        _("held since"), null=True, blank=True, help_text=_("nothing is sent while this is set")
    )
    held_reason = models.TextField(_("held reason"), blank=True)

    class Meta:
        verbose_name = _("clock")
        verbose_name_plural = _("clock")
        constraints = [
            # forbids a second row, which some would read and others write
            models.CheckConstraint(name="clock_only_one", condition=Q(id=1)),
        ]

    def __str__(self) -> str:
        return "clock"

    @classmethod
    def row(cls) -> "Clock":
        """The row, with the database's time of reading it as `now`."""
        read = cls.objects.annotate(now=Now())
        found = read.filter(pk=cls.ONLY).first()
        if found is None:
            Clock.objects.bulk_create([Clock()], ignore_conflicts=True)
            found = read.get(pk=cls.ONLY)
        return found


class SchedulePolicy(models.Model):
    """What a periodic task of a durable kind does about occurrences that nobody noticed. Without a row: once."""

    schedule = models.OneToOneField(
        PeriodicTask, on_delete=models.CASCADE, primary_key=True, related_name="policy", verbose_name=_("schedule")
    )
    missed = models.CharField(
        _("missed"),
        max_length=4,
        choices=[
            (Missed.SKIP.value, _("skip them")),
            (Missed.ONCE.value, _("run once for all of them")),
            (Missed.ALL.value, _("run each of them")),
        ],
        default=Missed.ONCE.value,
    )
    window = models.DurationField(
        _("window"), null=True, blank=True, help_text=_("not made up for when later; empty: however late")
    )

    class Meta:
        verbose_name = _("schedule policy")
        verbose_name_plural = _("schedule policies")

    def __str__(self) -> str:
        return f"{self.schedule}: {self.missed}"
