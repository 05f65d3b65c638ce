"""How long a worker is believed without a heartbeat, and a message without a claim."""

from datetime import datetime, timedelta

from django.db.models import Case, When
from django.db.models.functions import Now

LEASE = timedelta(seconds=20)
LONGEST_NUDGE_LEASE = 6  # doublings: a backlog must not be published again every 20 s


def for_message(at: datetime | Now) -> Case:
    """Until when an unclaimed message is believed: doubles with each message sent in vain."""
    steps = [When(nudges=sent, then=at + LEASE * 2**sent) for sent in range(LONGEST_NUDGE_LEASE)]
    return Case(*steps, default=at + LEASE * 2**LONGEST_NUDGE_LEASE)
