"""Another channel takes over when one certainly does not reach the customer, and only then."""

from datetime import timedelta

import pytest
from django.db import OperationalError, transaction

from jobs.models import Job
from notifications import bookings, consent, doubts, outcomes, reminders
from notifications.channels.base import Busy, Refused, Unknown
from notifications.models import Consent, Customer, Delivery, ReminderRule, Suppression
from tests.conftest import InProcessWorker
from tests.factories import HOUR, MINUTE, alice, make_booking
from tests.notifications.providers import Provider, Providers, booking_of, providers as providers, put, reload
from tests.notifications.reminding import due_now, first
from tests.races import needs_postgresql, race

pytestmark = pytest.mark.django_db


@pytest.fixture
def delivery(providers: Providers) -> Delivery:
    ReminderRule.objects.update(channels=["email", "sms", "webhook"])
    return due_now(first(make_booking(alice(phone="+493012345678"))))


def following(delivery: Delivery) -> list[tuple[str, str]]:
    return list(Delivery.objects.filter(fallback_of=delivery).values_list("channel", "state"))


def test_a_refused_mail_is_followed_by_a_text_message(worker: InProcessWorker, delivery, providers) -> None:
    providers["email"].answers = [Refused("550 no such mailbox")]
    worker.run_due()
    assert reload(delivery) == [("refused", "")]
    assert following(delivery) == [("sms", "planned")]
    worker.run_due()
    assert following(delivery) == [("sms", "sent")]
    text = Delivery.objects.get(fallback_of=delivery)
    assert (text.send_at, text.useful_until, text.revision) == (delivery.send_at, delivery.useful_until, 1)
    assert providers["sms"].keys == [str(text.pk)] != [str(delivery.pk)]


def test_the_last_channel_refused_too_is_the_end(worker: InProcessWorker, delivery, providers) -> None:
    for channel in ("email", "sms"):  # there is no webhook
        providers[channel].answers = [Refused("no")]
    for _ in range(4):
        worker.run_due()
    assert set(Delivery.objects.filter(rule=delivery.rule).values_list("channel", "state")) == {
        ("email", "refused"),
        ("sms", "refused"),
    }


def test_who_opted_out_of_mail_gets_a_text_message(worker: InProcessWorker, delivery, providers) -> None:
    Consent.objects.create(customer=delivery.customer, channel="email", granted=False)
    worker.run_due()
    worker.run_due()
    assert reload(delivery) == [("skipped", "opted_out")]
    assert following(delivery) == [("sms", "sent")]


@pytest.mark.parametrize("barred", ["consent", "suppression", "address"])
def test_a_channel_that_does_not_reach_them_either_is_passed_by(worker, delivery, providers, barred: str) -> None:
    customer = delivery.customer
    customer.webhook_url = "https://example.com/hook"
    if barred == "consent":
        Consent.objects.create(customer=customer, channel="sms", granted=False)
    elif barred == "suppression":
        Suppression.objects.create(channel="sms", address="+493012345678", cause="stop")
    else:
        customer.phone = ""
    customer.save()
    providers["email"].answers = [Refused("550")]
    worker.run_due()
    assert following(delivery) == [("webhook", "planned")]


def test_an_address_that_must_not_be_used_again_is_suppressed(worker: InProcessWorker, delivery, providers) -> None:
    refused = Refused("550 no such mailbox", suppress="bounce")
    providers["email"].answers = [refused]
    worker.run_due()
    assert Suppression.objects.get().address == "alice@example.com"


def test_what_else_was_planned_for_a_dead_address_goes_another_way_at_once(worker, delivery, providers) -> None:
    """Of the same customer, and of another who shares the address; not with the reconciler, an hour later."""
    shared = make_booking(alice(email="Alice@example.com"))
    providers["email"].answers = [Refused("550 no such mailbox", suppress="bounce")]
    worker.run_due()
    worker.run_due()
    others = Delivery.objects.exclude(pk=delivery.pk).exclude(fallback_of=delivery)
    assert set(others.filter(state="planned").values_list("booking", "channel")) == {(delivery.booking_id, "sms")}
    assert set(shared.deliveries.values_list("state", "reason")) == {("skipped", "suppressed")}
    assert Job.objects.get(task="notifications.replan_suppressed").args == [Suppression.objects.get().pk]


def test_a_second_bounce_of_an_address_plans_nothing_again(worker, delivery, providers) -> None:
    Suppression.objects.create(channel="email", address="other@example.com", cause="bounce")
    other = due_now(make_booking(alice(email="third@example.com")).deliveries.order_by("send_at")[0])
    for one in (delivery, other):
        outcomes.suppress_address(one, "bounce", "550")
        outcomes.suppress_address(one, "bounce", "550")
    assert Job.objects.filter(task="notifications.replan_suppressed").count() == 2


def test_an_address_that_was_lifted_meanwhile_is_left_as_it_is(worker, delivery, providers) -> None:
    outcomes.suppress_address(delivery, "bounce", "550")
    Suppression.objects.all().delete()
    assert consent.replan_suppressed(0) == 0


@pytest.mark.parametrize("answer", [Unknown("timeout"), RuntimeError("?")], ids=str)
def test_a_doubt_is_not_followed_by_another_channel(worker, delivery, providers, answer) -> None:
    providers["email"].answers = [answer]
    worker.run_due()
    assert reload(delivery)[0][0] == "in_doubt"
    assert following(delivery) == []


def test_not_even_if_a_later_attempt_is_refused(worker, delivery, providers, settings) -> None:
    settings.CHANNEL_POLICIES = {"email": "resend"}
    providers["email"].answers = [Unknown("timeout"), Refused("550")]
    worker.run_due()
    due_now(delivery)
    worker.run_due()
    assert reload(delivery)[0][0] == "in_doubt"
    assert following(delivery) == []


def test_a_doubt_resolved_as_not_sent_is(worker, delivery, providers) -> None:
    providers["email"].answers = [Unknown("timeout")]
    worker.run_due()
    doubts.resolve([delivery.pk], "not_sent", "olga", "it is in no log")
    assert following(delivery) == [("sms", "planned")]


def test_a_busy_provider_is_waited_for(worker, delivery, providers) -> None:
    providers["email"].answers = [Busy("451", retry_after=10 * MINUTE)]
    worker.run_due()
    assert reload(delivery) == [("planned", "")]
    assert following(delivery) == []
    assert Job.objects.get(pk=delivery.pk).failures == 0  # waiting is no failure


def test_but_not_beyond_the_time_when_the_message_is_useful(worker, delivery, providers) -> None:
    providers["email"].answers = [Busy("451", retry_after=50 * HOUR)]
    worker.run_due()
    worker.run_due()
    assert reload(delivery) == [("skipped", "other_channel")]
    assert following(delivery) == [("sms", "sent")]


def test_a_provider_that_is_left_alone_is_gone_round(worker, delivery, providers) -> None:
    def ready(message: object) -> None:
        raise Busy("left alone", retry_after=MINUTE)

    providers["email"].ready = ready
    worker.run_due()
    worker.run_due()
    assert reload(delivery) == [("skipped", "other_channel")]
    assert following(delivery) == [("sms", "sent")]
    assert providers["email"].asked == {}


def test_but_not_after_a_doubt(worker, delivery, providers) -> None:
    def ready(message: object) -> None:
        raise Busy("left alone", retry_after=MINUTE)

    Delivery.objects.filter(pk=delivery.pk).update(doubts=1)
    providers["email"].ready = ready
    worker.run_due()
    assert reload(delivery) == [("planned", "")]
    assert following(delivery) == []


def test_where_no_other_channel_reaches_them_nothing_is_given_up(delivery, providers) -> None:
    Customer.objects.update(phone="")
    delivery.refresh_from_db()
    Delivery.objects.filter(pk=delivery.pk).update(state="sending", token=3)
    assert not outcomes.Intent(delivery, 3, reminders.job_for).rerouted("its provider is down")
    assert reload(delivery) == [("sending", "")]


def test_without_another_channel_it_is_waited_for(worker, delivery, providers) -> None:
    def ready(message: object) -> None:
        raise Busy("left alone", retry_after=MINUTE)

    ReminderRule.objects.update(channels=["email"])
    providers["email"].ready = ready
    worker.run_due()
    assert reload(delivery) == [("planned", "")]
    assert Job.objects.get(pk=delivery.pk).state == "scheduled"


def test_a_refusal_after_the_booking_was_cancelled_is_the_end(worker, delivery, providers) -> None:
    class Meanwhile(Provider):
        def __call__(self, message, *, idempotency_key):
            assert bookings.cancel(booking_of(delivery)).in_flight == [delivery]
            raise Refused("550")

    put("email", Meanwhile())
    worker.run_due()
    assert reload(delivery) == [("refused", "")]
    assert following(delivery) == []


def test_a_refusal_whose_next_channel_cannot_be_planned_is_not_written(delivery, providers) -> None:
    """Else the one is over, the other never planned, and nobody looks again."""

    def away(following: Delivery) -> Job:
        raise OperationalError("server closed the connection unexpectedly")

    Delivery.objects.filter(pk=delivery.pk).update(state="sending", token=3)
    with pytest.raises(OperationalError):
        outcomes.end_for_good(Delivery.objects.filter(pk=delivery.pk), delivery, away, detail="550")
    assert reload(delivery) == [("sending", "")]
    assert following(delivery) == []


def test_a_refusal_of_an_attempt_that_is_not_ours_plans_nothing(delivery, providers) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(state="sending", token=4)
    outcomes.Intent(delivery, 3, job_for=lambda _: pytest.fail("planned beside a message that is being sent")).refused(
        "?"
    )
    assert reload(delivery) == [("sending", "")]


def test_too_late_for_another_channel(worker, delivery, providers) -> None:
    class Slowly(Provider):
        def __call__(self, message, *, idempotency_key):
            Delivery.objects.filter(pk=delivery.pk).update(useful_until=delivery.send_at)
            raise Refused("550")

    put("email", Slowly())
    Delivery.objects.filter(pk=delivery.pk).update(useful_until=delivery.send_at + timedelta(seconds=30))
    worker.run_due()
    following_one = Delivery.objects.filter(fallback_of=delivery).first()
    assert following_one is None or following_one.useful_until > delivery.send_at


def test_a_cancel_withdraws_the_fallback_too(worker, delivery, providers) -> None:
    providers["email"].answers = [Refused("550")]
    worker.run_due()
    bookings.cancel(booking_of(delivery))
    worker.run_due()
    assert following(delivery) == [("sms", "skipped")]
    assert providers["sms"].asked == {}


def test_what_is_of_no_use_any_more_goes_by_no_other_channel(delivery, providers) -> None:
    late = {"state": "sending", "token": 3, "useful_until": delivery.send_at}
    Delivery.objects.filter(pk=delivery.pk).update(**late)
    delivery.refresh_from_db()
    outcomes.Intent(delivery, 3, reminders.job_for).refused("550")
    assert reload(delivery) == [("refused", "")]
    assert following(delivery) == []


@needs_postgresql
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_cancel_and_a_refusal_at_once_leave_no_fallback(worker, delivery, providers) -> None:
    """The cancel has written and not committed; the refusal waits for the booking, and then plans nothing."""
    Delivery.objects.filter(pk=delivery.pk).update(state="sending", token=3)
    intent = outcomes.Intent(delivery, 3, job_for=lambda _: pytest.fail("planned for a cancelled booking"))

    def cancel() -> None:
        with transaction.atomic():
            bookings.cancel(booking_of(delivery))

    race(cancel, lambda: intent.refused("550"))
    assert reload(delivery) == [("refused", "")]
    assert following(delivery) == []
