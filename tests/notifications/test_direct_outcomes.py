"""Direct messages: what the provider says, accidents, and what is told when nobody knows."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import Job
from notifications import direct_ends, direct_sending, reconciler
from notifications.channels.base import Busy, Refused, Throttled, Unknown
from notifications.guarantees import QUARANTINE, REQUEST
from notifications.models import DirectMessage, Suppression
from tests.factories import MINUTE
from tests.notifications.providers import Providers, providers as providers
from tests.notifications.writing_direct import SECOND, again, became, job_of, written

pytestmark = pytest.mark.django_db


# --- What the provider says -----------------------------------------------------------------------------


def test_a_refusal_is_for_good_and_bars_the_address(worker: Any, providers: Providers) -> None:
    providers["email"].answers = [Refused("no such mailbox", suppress="bounce")]
    message = written()
    worker.run_due()
    assert became(message) == ("refused", "") and job_of(message).state == "failed"
    assert Suppression.objects.get().address == "alice@example.com"


def test_who_is_busy_is_asked_again(worker: Any, providers: Providers) -> None:
    providers["email"].answers = [Busy("not now"), Throttled("wait", timedelta(seconds=30))]
    message = written()
    worker.run_due()
    assert became(message) == ("planned", "") and job_of(message).failures == 1
    again(worker, message)
    assert job_of(message).failures == 1 and became(message) == ("planned", "")
    again(worker, message)
    assert became(message) == ("sent", "") and providers["email"].asked == {str(message.pk): 3}


@pytest.mark.parametrize("answer", [Unknown("the connection broke"), RuntimeError("alice@example.com")])
def test_what_nobody_knows_is_a_doubt_and_never_sent_again_by_itself(
    answer: Exception, worker: Any, providers: Providers
) -> None:
    providers["email"].answers = [answer]
    message = written()
    worker.run_due()
    again(worker, message)
    direct_ends.settle()
    assert became(message) == ("in_doubt", "") and message.doubts == 1
    assert providers["email"].asked == {str(message.pk): 1} and "alice" not in message.detail


def test_a_receiver_that_knows_keys_is_asked_again_under_the_same_one(worker: Any, providers: Providers) -> None:
    inbox = providers["inbox"]
    inbox.default_policy, inbox.answers = "keyed", [Unknown("the connection broke")]
    message = written(channel="inbox")
    worker.run_due()
    again(worker, message)
    assert became(message)[0] == "sent" and inbox.asked == {str(message.pk): 2}


@pytest.mark.parametrize(
    ("outcome", "state", "asked"), [("sent", "sent", 1), ("not_sent", "refused", 1), ("resend", "sent", 2)]
)
def test_a_person_resolves_a_doubt_once(
    outcome: str, state: str, asked: int, worker: Any, providers: Providers
) -> None:
    providers["email"].answers = [Unknown("the connection broke")]
    message = written()
    worker.run_due()
    assert [direct_ends.resolve([message.pk], outcome, "olga", "she called") for _ in range(2)] == [1, 0]
    again(worker, message)
    assert became(message)[0] == state and providers["email"].asked == {str(message.pk): asked}
    with pytest.raises(ValueError, match="reason"):
        direct_ends.resolve([message.pk], outcome, "olga", " ")


# --- Accidents ------------------------------------------------------------------------------------------


def lost_while_sending(message: DirectMessage, since: timedelta) -> None:
    """Its worker wrote the intent and is gone; another has the job now."""
    DirectMessage.objects.filter(pk=message.pk).update(state="sending", token=0, intent_at=timezone.now() - since)


def test_a_worker_lost_while_sending_leaves_a_doubt(worker: Any, providers: Providers) -> None:
    message = written()
    lost_while_sending(message, MINUTE)
    worker.run_due()
    assert became(message) == ("in_doubt", "") and message.doubts == 1 and providers["email"].asked == {}


def test_a_worker_lost_while_putting_it_into_the_inbox_is_followed_when_its_request_is_over(
    worker: Any, providers: Providers
) -> None:
    providers["inbox"].default_policy = "keyed"
    message = written(channel="inbox")
    lost_while_sending(message, SECOND)
    worker.run_due()
    assert became(message)[0] == "sending" and providers["inbox"].asked == {}
    lost_while_sending(message, QUARANTINE + REQUEST + SECOND)
    again(worker, message)
    assert became(message)[0] == "sent" and providers["inbox"].asked == {str(message.pk): 1}


def test_a_slow_worker_that_was_given_up_still_tells_what_it_knows() -> None:
    from notifications.channels.base import Receipt

    message = written()
    DirectMessage.objects.filter(pk=message.pk).update(state="in_doubt", token=3, doubts=1)
    direct_sending._accepted(message, 2, Receipt("of another attempt"))
    assert became(message)[0] == "in_doubt"
    direct_sending._accepted(message, 3, Receipt("mine"))
    assert became(message)[0] == "sent" and message.doubts == 0


def test_an_intent_whose_commit_nobody_heard_of_is_taken_back(
    worker: Any, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, update = written(), QuerySet.update

    def unheard(rows: Any, **changes: Any) -> int:
        done = update(rows, **changes)
        if rows.model is DirectMessage and changes.get("state") == "sending":
            assert done == 1
            raise OperationalError("the server closed the connection")
        return done

    monkeypatch.setattr(QuerySet, "update", unheard)
    worker.run_due()
    assert became(message) == ("planned", "") and providers["email"].asked == {}
    monkeypatch.undo()
    again(worker, message)
    assert job_of(message).failures == 1 and became(message)[0] == "sent"


@pytest.mark.parametrize(("state", "end"), [("planned", "skipped"), ("sending", "in_doubt")])
def test_a_message_whose_job_was_deleted_does_not_wait_for_ever(state: str, end: str) -> None:
    message = written()
    DirectMessage.objects.update(state=state)
    Job.objects.filter(pk=message.pk).delete()
    reconciler.settle_all()
    assert became(message)[0] == end
