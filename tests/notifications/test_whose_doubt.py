"""A callback speaks of one attempt: it resolves the doubt about that one, and of no other."""

from typing import Any

import pytest

from notifications.callbacks.record import Event, record
from notifications.models import Delivery, DirectMessage
from tests.notifications.telling import a_delivery, a_message

pytestmark = pytest.mark.django_db
Row = Delivery | DirectMessage
BOTH = pytest.mark.parametrize("make", [a_delivery, a_message], ids=["delivery", "direct"])


def told(row: Row, provider_id: str, *words: str) -> tuple[str, int, str]:
    """What is known of it after these callbacks."""
    for word in words:
        record(Event("twilio", f"{provider_id}:{word}", word, delivery=str(row.pk), provider_id=provider_id))
    row.refresh_from_db()
    return row.state, row.doubts, row.provider_id


@BOTH
def test_what_is_told_of_the_answered_attempt_leaves_the_other_in_doubt(make: Any) -> None:
    """Every "delivered" of the second attempt said that the first had not come, and nobody counted two."""
    row = make("sent", provider_id="SM2", doubts=1)
    assert told(row, "SM2", "sent", "delivered") == ("sent", 1, "SM2")


@BOTH
def test_the_attempt_in_doubt_is_resolved_and_the_answered_ones_id_stays(make: Any) -> None:
    row = make("sent", provider_id="SM2", doubts=1)
    assert told(row, "SM1", "sent", "delivered") == ("sent", 0, "SM2")
    record(Event("twilio", "x", "failed", provider_id="SM2", outcome="failed"))
    row.refresh_from_db()
    assert row.outcome == "failed"


@BOTH
def test_of_two_attempts_in_doubt_each_is_told_of_by_its_own_id(make: Any) -> None:
    row = make("in_doubt", provider_id="", doubts=2)
    assert told(row, "SM1", "queued", "sent", "delivered") == ("sent", 1, "SM1")
    assert told(row, "SM2", "sent") == ("sent", 0, "SM1")


@BOTH
def test_where_the_receiver_knows_keys_all_attempts_are_one(make: Any, settings: Any) -> None:
    settings.CHANNEL_POLICIES = {"sms": "keyed", "email": "keyed"}
    settings.KEYS_LAST_HOURS = {"sms": 24, "email": 24}
    row = make("sent", provider_id="SM2", doubts=2)
    assert told(row, "SM2", "delivered") == ("sent", 0, "SM2")
