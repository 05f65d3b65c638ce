"""What becomes of a message of which nobody knows whether it was taken: hold, resend, keyed."""

from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from jobs.models import Job
from notifications import bookings, guarantees, reconciler
from notifications.channels.base import Busy, Refused, Unknown
from notifications.models import Delivery
from tests.conftest import InProcessWorker
from tests.factories import HOUR, alice, make_booking
from tests.notifications.providers import Provider, Providers, booking_of, providers as providers, put, reload
from tests.notifications.reminding import due_now, first

pytestmark = pytest.mark.django_db
UNKNOWN = Unknown("the connection broke")


@pytest.fixture
def delivery(settings, providers: Providers) -> Delivery:
    return due_now(first(make_booking(alice())))


def under(settings, policy: str) -> None:
    settings.CHANNEL_POLICIES = {"email": policy}
    settings.KEYS_LAST_HOURS = {"email": 24} if policy == "keyed" else {}


def goes_on(worker: InProcessWorker, delivery: Delivery) -> None:
    due_now(delivery)
    worker.run_due()
    delivery.refresh_from_db()


def lost_while_sending(delivery: Delivery, ago: timedelta = HOUR) -> None:
    """A worker wrote the intent so long ago and was killed."""
    fate = {"state": "sending", "token": 1, "intent_at": timezone.now() - ago}
    Delivery.objects.filter(pk=delivery.pk).update(**fate)


def test_hold_asks_once(worker: InProcessWorker, delivery: Delivery, providers: Providers) -> None:
    providers["email"].answers = [UNKNOWN]
    goes_on(worker, delivery)
    assert (delivery.state, delivery.doubts) == ("in_doubt", 1)
    assert Job.objects.get(pk=delivery.pk).state == "failed"
    assert providers["email"].asked == {str(delivery.pk): 1}


@pytest.mark.parametrize("policy", ["resend", "keyed"])
def test_resend_and_keyed_ask_again_with_the_same_key_and_keep_the_count(
    worker: InProcessWorker, delivery: Delivery, providers: Providers, settings, policy: str
) -> None:
    under(settings, policy)
    providers["email"].answers = [UNKNOWN, UNKNOWN]
    for _ in range(3):
        goes_on(worker, delivery)
    assert (delivery.state, delivery.doubts) == ("sent", 2)  # a later success resolves nothing
    assert providers["email"].asked == {str(delivery.pk): 3}


def test_resend_does_not_fill_a_mailbox(worker: InProcessWorker, delivery: Delivery, providers, settings) -> None:
    under(settings, "resend")
    providers["email"].answers = [UNKNOWN] * 50
    for _ in range(8):
        goes_on(worker, delivery)
    assert (delivery.state, delivery.doubts) == ("in_doubt", guarantees.REPEATS + 1)
    assert providers["email"].asked == {str(delivery.pk): guarantees.REPEATS + 1}


def test_keyed_holds_when_the_receiver_has_forgotten_the_key(worker, delivery: Delivery, providers, settings) -> None:
    under(settings, "keyed")
    settings.KEYS_LAST_HOURS = {"email": 0.001}
    providers["email"].answers = [UNKNOWN]
    goes_on(worker, delivery)
    assert (delivery.state, delivery.doubts) == ("in_doubt", 1)


@pytest.mark.parametrize("answer", [Refused("550 no"), None], ids=["refused", "too late"])
def test_a_doubt_outlives_what_comes_after_it(worker, delivery: Delivery, providers, settings, answer) -> None:
    under(settings, "resend")
    providers["email"].answers = [UNKNOWN, answer]
    goes_on(worker, delivery)
    assert (delivery.state, delivery.doubts) == ("planned", 1)
    if answer is None:
        Delivery.objects.filter(pk=delivery.pk).update(useful_until=timezone.now())
    goes_on(worker, delivery)
    assert (delivery.state, delivery.doubts) == ("in_doubt", 1)


def test_a_cancel_after_a_doubt_promises_nothing(worker, delivery: Delivery, providers, settings) -> None:
    under(settings, "resend")
    providers["email"].answers = [UNKNOWN]
    goes_on(worker, delivery)
    receipt = bookings.cancel(booking_of(delivery))
    assert delivery not in receipt.cancelled
    assert receipt.in_doubt == [delivery]
    assert reload(delivery) == [("in_doubt", "cancelled")]


def test_neither_does_a_withdrawal_by_a_person(worker, delivery: Delivery, providers, settings) -> None:
    under(settings, "resend")
    providers["email"].answers = [UNKNOWN]
    goes_on(worker, delivery)
    assert reconciler.withdraw([delivery.pk], "olga") == {delivery.pk: "in doubt"}
    assert reload(delivery)[0][0] == "in_doubt"


def test_a_worker_lost_while_sending_is_a_doubt_under_hold(worker, delivery: Delivery, providers) -> None:
    lost_while_sending(delivery)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.doubts) == ("in_doubt", 1)
    assert providers["email"].asked == {}


def test_keyed_tries_again_after_a_lost_worker(worker, delivery: Delivery, providers, settings) -> None:
    under(settings, "keyed")
    lost_while_sending(delivery)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.doubts) == ("sent", 1)


def test_but_not_while_the_lost_workers_request_may_be_under_way(worker, delivery, providers, settings) -> None:
    under(settings, "keyed")
    lost_while_sending(delivery, 30 * timedelta(seconds=1))
    worker.run_due()
    delivery.refresh_from_db()
    job = Job.objects.get(pk=delivery.pk)
    assert (delivery.state, delivery.doubts, job.state) == ("sending", 0, "scheduled")
    assert job.run_at == guarantees.nothing_open_at(delivery)


@pytest.mark.parametrize(
    ("answer", "state"), [(None, "sent"), (Refused("550"), "refused"), (Busy("451"), "planned")], ids=str
)
def test_a_slow_worker_that_was_given_up_still_tells_what_it_knows(worker, delivery, providers, answer, state) -> None:
    email = providers["email"]

    class Slow(Provider):
        def __call__(self, message, *, idempotency_key):
            Delivery.objects.filter(pk=delivery.pk).update(state="in_doubt", doubts=1)  # by the one who took over
            return email(message, idempotency_key=idempotency_key)

    email.answers = [answer]
    put("email", Slow())
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.doubts) == (state, 0)


def test_a_callback_that_was_faster_than_a_broken_answer_settles_it(worker, delivery, providers) -> None:
    class Told(Provider):
        def __call__(self, message, *, idempotency_key):
            Delivery.objects.filter(pk=delivery.pk).update(outcome="delivered", outcome_at=timezone.now())
            raise UNKNOWN

    put("email", Told())
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.doubts) == ("sent", 0)


def test_a_promise_that_a_channel_cannot_keep_is_refused(settings) -> None:
    for policies in ({"email": "keyed"}, {"email": "hope"}):
        settings.CHANNEL_POLICIES = policies
        with pytest.raises(ImproperlyConfigured):
            guarantees.of("email")
