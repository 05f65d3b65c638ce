"""The table of what was asked for from outside: JobEvent. Append-only; whoever asks writes it in the same transaction.

Description only; `orders` writes it. A job's own history (attempts, states) is elsewhere; this is who wanted what.
"""

from django.db import models
from django.utils import timezone

from jobs.ids import new_id


class JobEvent(models.Model):
    """Somebody asked something of a job: who, what, why, what it was before and what became of the wish."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now, editable=False)
    by = models.CharField(max_length=150, help_text="a user's name, or the door it came through")
    verb = models.CharField(max_length=20)
    reason = models.TextField(blank=True)
    before = models.CharField(max_length=10, help_text="the job's state")
    outcome = models.CharField(max_length=20, help_text="the receipt: cancelled, or in flight and asked to stop")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.verb} by {self.by}: {self.outcome}"
