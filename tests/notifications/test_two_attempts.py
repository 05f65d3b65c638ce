"""Two workers have one delivery: the first was slow and was given up for dead."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs import dispatcher, rescuer
from jobs.models import Job
from notifications.channels.base import Busy
from notifications.models import Delivery
from tests.conftest import InProcessWorker
from tests.notifications.changing import booking_cancelled, due, one_message, state
from tests.races import HeldProvider, needs_postgresql, race

pytestmark = [needs_postgresql, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def given_up_for_dead(worker: InProcessWorker) -> Any:
    """The lease runs out though the worker lives. Returns the message of the next attempt."""
    Job.objects.filter(state="running").update(lease_until=timezone.now() - timedelta(seconds=1))
    assert rescuer.rescue_lost().restarted == 1
    return one_message(worker)


def test_a_second_attempt_during_a_slow_call_makes_a_doubt_that_the_first_resolves(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery, provider = due(booking_cancelled), HeldProvider(monkeypatch)
    message = one_message(worker)
    with provider.while_there(lambda: worker.run(message)):
        worker.run(given_up_for_dead(worker))
        assert state(delivery) == "in_doubt"
    assert (state(delivery), provider.sent) == ("sent", [str(delivery.pk)])


@pytest.mark.parametrize(("answer", "then"), [("sent", "sent"), ("planned", "sent"), ("refused", "refused")])
def test_a_doubt_is_not_written_over_an_answer(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch, answer: str, then: str
) -> None:
    """The second attempt has seen the first's intent; before it notes a doubt, the first one's answer is there."""
    delivery, provider = due(booking_cancelled), HeldProvider(monkeypatch)
    provider.go_on.set()
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    Delivery.objects.filter(pk=delivery.pk).update(state="sending", token=0)
    race(lambda: Delivery.objects.filter(pk=delivery.pk).update(state=answer), lambda: worker.run(message))
    assert state(delivery) == then
    assert Job.objects.get(pk=delivery.pk).state == "succeeded"
    assert provider.sent == ([str(delivery.pk)] if answer == "planned" else [])


@pytest.mark.parametrize("decided", [{"state": "sending", "token": 7}, {"state": "skipped"}], ids=["token", "state"])
def test_an_outcome_is_written_over_its_own_intent_only(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch, decided: dict[str, Any]
) -> None:
    delivery, provider = due(booking_cancelled), HeldProvider(monkeypatch)
    message, provider.answer = one_message(worker), Busy("451 greylisted")
    with provider.while_there(lambda: worker.run(message)):
        Delivery.objects.filter(pk=delivery.pk).update(**decided)
    assert Delivery.objects.filter(pk=delivery.pk, **decided).exists()
