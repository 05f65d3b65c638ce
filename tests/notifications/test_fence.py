"""The intent fence asks for consent, suppression and address at the last moment, whoever wrote them."""

import pytest
from django.db import connection

from jobs.models import Job
from notifications import rendering
from notifications.models import Booking, Consent, Customer, Delivery, ReminderRule, Suppression
from tests.conftest import InProcessWorker
from tests.factories import alice, make_booking
from tests.notifications.providers import Providers, providers as providers, reload
from tests.notifications.reminding import due_now, first
from tests.races import HeldRendering, needs_postgresql, race

pytestmark = pytest.mark.django_db


def opt_out(customer: Customer) -> None:
    Consent.objects.update_or_create(customer=customer, channel="email", defaults={"granted": False})


def suppress(customer: Customer) -> None:
    Suppression.objects.create(channel="email", address=customer.email.lower(), cause="bounce")


def forget_address(customer: Customer) -> None:
    Customer.objects.filter(pk=customer.pk).update(email="")


CHANGES = {"opted_out": opt_out, "suppressed": suppress, "no_address": forget_address}


@pytest.mark.parametrize("reason", CHANGES)
def test_nothing_goes_to_who_must_not_be_written_to(worker: InProcessWorker, providers: Providers, reason) -> None:
    delivery = due_now(first(make_booking(alice(email="Alice@Example.com"))))
    CHANGES[reason](delivery.customer)
    worker.run_due()
    assert reload(delivery) == [("skipped", reason)]
    assert providers["email"].asked == {}
    assert Job.objects.get(pk=delivery.pk).state == "succeeded"


@pytest.mark.parametrize("reason", CHANGES)
def test_it_counts_even_between_rendering_and_the_call(worker, providers: Providers, monkeypatch, reason) -> None:
    delivery = due_now(first(make_booking(alice())))
    render = rendering.render

    def meanwhile(row: Delivery, **facts):
        message = render(row, **facts)
        CHANGES[reason](row.customer)
        return message

    monkeypatch.setattr(rendering, "render", meanwhile)
    worker.run_due()
    assert reload(delivery) == [("skipped", reason)]
    assert providers["email"].asked == {}


def test_a_message_is_not_sent_to_an_address_that_was_just_changed(worker, providers: Providers, monkeypatch) -> None:
    delivery = due_now(first(make_booking(alice())))
    render = rendering.render

    def meanwhile(row: Delivery, **facts):
        message = render(row, **facts)
        Customer.objects.filter(pk=row.customer_id).update(email="new@example.com")
        return message

    monkeypatch.setattr(rendering, "render", meanwhile)
    worker.run_due()
    assert reload(delivery) == [("planned", "")]  # again, to the new one
    monkeypatch.setattr(rendering, "render", render)
    due_now(delivery)
    worker.run_due()
    assert reload(delivery) == [("sent", "")]


@pytest.mark.parametrize(("granted", "state"), [(None, "skipped"), (False, "skipped"), (True, "sent")])
def test_a_channel_may_need_the_customers_consent(worker, providers: Providers, settings, granted, state) -> None:
    delivery = due_now(first(make_booking(alice())))
    settings.OPT_IN_CHANNELS = ["email"]  # from now on; what was planned before has to ask as well
    if granted is not None:
        Consent.objects.update_or_create(customer=delivery.customer, channel="email", defaults={"granted": granted})
    worker.run_due()
    assert reload(delivery)[0][0] == state


def test_a_refusal_of_another_channel_says_nothing_about_this_one(worker, providers: Providers) -> None:
    delivery = due_now(first(make_booking(alice())))
    Consent.objects.create(customer=delivery.customer, channel="sms", granted=False)
    Suppression.objects.create(channel="sms", address="alice@example.com", cause="stop")
    worker.run_due()
    assert reload(delivery) == [("sent", "")]


def test_who_has_confirmed_is_not_asked_again_if_the_rule_says_so(worker, providers: Providers) -> None:
    ReminderRule.objects.update(unless_confirmed=True)
    delivery = due_now(first(make_booking(alice())))
    Booking.objects.update(confirmed_at=delivery.created_at)
    worker.run_due()
    assert reload(delivery)[0][0] == "skipped"
    assert providers["email"].asked == {}


@needs_postgresql
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_an_opt_out_that_comes_first_is_waited_for(worker, providers: Providers, monkeypatch) -> None:
    """The opt-out has withdrawn the delivery, not yet committed: the intent waits for it on the delivery's row."""
    delivery = due_now(first(make_booking(alice())))
    held = HeldRendering(monkeypatch)
    held.go_on.set()

    def opts_out() -> None:
        opt_out(delivery.customer)
        Delivery.objects.filter(pk=delivery.pk, state="planned").update(state="skipped", reason="opted_out")

    race(opts_out, worker.run_due)
    assert reload(delivery) == [("skipped", "opted_out")]
    assert providers["email"].asked == {}
    assert connection.vendor == "postgresql"


@pytest.mark.parametrize("why", ["too late", "opted out"])
def test_an_in_app_message_that_must_not_go_says_why_as_any_other(worker, providers: Providers, why: str) -> None:
    """An inbox needs no address, so there is no condition on one."""
    ReminderRule.objects.update(channels=["inbox"])
    booking = make_booking(alice())
    delivery = due_now(first(booking))
    if why == "too late":
        Delivery.objects.filter(pk=delivery.pk).update(useful_until=delivery.send_at)
    else:
        Consent.objects.create(customer=booking.customer, channel="inbox", granted=False)
    worker.run_due()
    assert reload(delivery) == [("skipped", why.replace(" ", "_"))]
    assert Job.objects.get(pk=delivery.pk).state == "succeeded"
