"""Two businesses in one installation: what is made for one is of it alone, and no row of one meets the other's."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs import pauses
from jobs.dispatcher import dispatch_due
from jobs.models import Job
from notifications import bookings, bulk, payments, reconciler, reminders, trials, why, wording
from notifications.models import (
    Booking,
    Channel,
    Customer,
    Delivery,
    MessageTemplate,
    Payment,
    ReminderRule,
    RuleOverride,
)
from notifications.overrides import Overrides
from notifications.previews import foresee
from notifications.reminders import job_for
from notifications.tenants import OtherTenant
from notifications.verify import CHECKS
from tests.conftest import InProcessWorker
from tests.factories import HOUR, MINUTE, alice, bob, make_booking, make_payment

pytestmark = pytest.mark.django_db
ONE, TWO = "one", "two"


def broken() -> set[str]:
    return {check.name for check in CHECKS if check.broken().exists()}


def a_rule(**fields: Any) -> ReminderRule:
    usual: dict[str, Any] = {
        "name": "Own",
        "anchor": "booking_start",
        "offset": -3 * HOUR,
        "message": "booking_upcoming",
    }
    return ReminderRule.objects.create(**usual | fields)


def jobs_of(anchor: Booking | Payment) -> set[str]:
    return set(Job.objects.filter(pk__in=anchor.deliveries.values("pk")).values_list("tenant", flat=True))


# --- Rows ---


def test_what_is_made_for_a_customer_is_of_their_tenant() -> None:
    customer = alice(tenant=ONE)
    booking, payment = make_booking(customer), make_payment(customer)
    for anchor in (booking, payment):
        assert anchor.tenant == ONE and jobs_of(anchor) == {ONE}
        assert set(anchor.deliveries.values_list("tenant", flat=True)) == {ONE}
    assert broken() == set()


def test_without_tenants_nothing_has_one() -> None:
    booking = make_booking(alice())
    assert booking.tenant == "" and jobs_of(booking) == {""}


@pytest.mark.parametrize("attempt", ["book", "request", "booking of another", "change booking", "change payment"])
def test_rows_of_two_tenants_do_not_meet(attempt: str) -> None:
    ones, twos = alice(tenant=ONE), bob(tenant=TWO)
    booking, payment = make_booking(ones), make_payment(ones)
    times: dict[str, Any] = {"starts_at": booking.starts_at, "ends_at": booking.ends_at, "time_zone": "UTC"}
    money: dict[str, Any] = {"amount": 100, "currency": "EUR", "due_on": payment.due_on}
    before = (Booking.objects.count(), Payment.objects.count(), Delivery.objects.count())
    with pytest.raises(OtherTenant, match="belongs to another tenant"):
        match attempt:
            case "book":
                make_booking(twos, tenant=ONE)
            case "request":
                make_payment(twos, tenant=ONE)
            case "booking of another":
                make_payment(twos, booking=booking)
            case "change booking":
                bookings.change(booking, customer=twos, **times)
            case "change payment":
                payments.change(payment, booking=make_booking(twos), **money)
    for row in (booking, payment):
        row.refresh_from_db()
        assert row.customer_id == ones.pk
    if attempt != "change payment":
        assert before == (Booking.objects.count(), Payment.objects.count(), Delivery.objects.count())


def test_external_ids_rules_and_words_are_named_within_a_tenant() -> None:
    for tenant in (ONE, TWO, ""):
        customer = alice(tenant=tenant, external_id="C-1")
        make_booking(customer, external_id="B-1")
        make_payment(customer, external_id="P-1")
        a_rule(tenant=tenant)
        MessageTemplate.objects.create(tenant=tenant, message="booking_upcoming", channel="email", text="x")
    for again in (
        lambda: alice(tenant=ONE, external_id="C-1"),
        lambda: make_booking(Customer.objects.get(tenant=ONE), external_id="B-1"),
        lambda: make_payment(Customer.objects.get(tenant=ONE), external_id="P-1"),
        lambda: a_rule(tenant=ONE),
        lambda: MessageTemplate.objects.create(tenant=ONE, message="booking_upcoming", channel="email", text="x"),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            again()


# --- Rules ---


def test_a_tenants_own_rule_makes_messages_of_its_own_bookings_only() -> None:
    rule = a_rule(tenant=ONE)
    ones, twos = make_booking(alice(tenant=ONE)), make_booking(bob(tenant=TWO))
    assert ones.deliveries.filter(rule=rule).count() == 1
    assert not twos.deliveries.filter(rule=rule).exists()
    assert ones.deliveries.count() == 4 and twos.deliveries.count() == 3, "those of all tenants go on"
    assert not reminders.plan([ones, twos]).changes, "again, it changes nothing"
    assert not sum(done.changes for done in reconciler.reconcile())
    assert broken() == set()


def test_a_message_of_a_rule_that_is_another_tenants_is_withdrawn() -> None:
    """As if somebody had changed the rule's tenant past the application."""
    rule = a_rule(tenant=ONE)
    booking = make_booking(alice(tenant=ONE))
    ReminderRule.objects.filter(pk=rule.pk).update(tenant=TWO)
    assert broken() == {"foreign deliveries"}
    reminders.plan([booking])
    assert booking.deliveries.get(rule=rule).state == "skipped"


def test_a_changed_rule_plans_its_tenants_bookings_anew_and_looks_at_no_others() -> None:
    ones, twos = make_booking(alice(tenant=ONE)), make_booking(bob(tenant=TWO))
    rule = a_rule(tenant=ONE)
    assert [len(rows) for rows in reconciler.concerned(rule, timezone.now())] == [1]
    assert foresee(rule, Overrides([])).looked_at == 1
    reminders_made = reconciler.apply_rule(rule.pk)
    assert reminders_made == 1 and ones.deliveries.filter(rule=rule).exists()
    assert not twos.deliveries.filter(rule=rule).exists()
    shared = a_rule(name="For all")
    assert reconciler.apply_rule(shared.pk) == 2


def test_an_override_of_a_tenant_changes_a_rule_of_all_for_it_alone() -> None:
    rule = ReminderRule.objects.get(name__startswith="24 hours")
    RuleOverride.objects.create(rule=rule, service="Haircut", offset=-20 * HOUR)
    RuleOverride.objects.create(rule=rule, tenant=ONE, service="Haircut", active=False)
    ones, twos = make_booking(alice(tenant=ONE)), make_booking(bob(tenant=TWO))
    assert not ones.deliveries.filter(rule=rule).exists()
    assert twos.deliveries.get(rule=rule).send_at == twos.starts_at - 20 * HOUR
    assert broken() == set(), "what is off for one tenant is missing nowhere"


def test_planning_two_tenants_together_costs_as_much_as_one() -> None:
    def cost(anchors: list[Booking]) -> int:
        with CaptureQueriesContext(connection) as queries:
            reminders.plan(anchors)
        return len(queries)

    a_rule(tenant=ONE)
    ones, twos = make_booking(alice(tenant=ONE)), make_booking(bob(tenant=TWO))
    assert cost([ones, twos]) == cost([ones])


def test_why_speaks_of_rules_that_concern_the_booking() -> None:
    a_rule(tenant=TWO, name="Secret")
    booking = make_booking(alice(tenant=ONE))
    told = why.why(why.asked(Booking).get(pk=booking.pk))
    assert told and "Secret" not in {answer.rule for answer in told}


# --- Words ---


def words_of(tenant: str, text: str, **fields: str) -> MessageTemplate:
    usual = {"message": "booking_upcoming", "channel": "email", "locale": "en", "subject": "Hello"}
    return MessageTemplate.objects.create(tenant=tenant, text=text, **usual | fields)


def test_a_tenants_words_come_before_those_of_all() -> None:
    for tenant in ("", TWO, ONE):  # whichever was written first
        words_of(tenant, f"of {tenant or 'all'}")
    said = {tenant: wording.words("booking_upcoming", "email", "en", tenant).text for tenant in ("", ONE, TWO, "three")}
    assert said == {"": "of all", ONE: "of one", TWO: "of two", "three": "of all"}


def test_the_customers_language_comes_before_whose_words_they_are() -> None:
    words_of(ONE, "English, of one")
    words_of("", "Deutsch, von allen", locale="de")
    assert wording.words("booking_upcoming", "email", "de_AT", ONE).text == "Deutsch, von allen"
    assert wording.words("booking_upcoming", "email", "fr", ONE).text == "English, of one"


def test_the_words_of_another_tenant_are_never_sent(worker: InProcessWorker, mailoutbox: Any) -> None:
    words_of(ONE, "From one")
    words_of(TWO, "From two")
    for customer in (alice(tenant=ONE), bob(tenant=TWO)):
        sent = make_booking(customer, starts=20 * HOUR).deliveries.get(rule__name__startswith="1 hour")
        Delivery.objects.filter(pk=sent.pk).update(send_at=timezone.now() - MINUTE)
        Job.objects.filter(pk=sent.pk).update(run_at=timezone.now() - MINUTE)
    worker.run_due()
    assert {mail.to[0]: mail.body.strip() for mail in mailoutbox} == {
        "alice@example.com": "From one",
        "bob@example.com": "From two",
    }


def test_words_are_tried_with_bookings_of_their_own_tenant(admin_user: Any) -> None:
    booking = make_booking(alice(tenant=TWO))
    with pytest.raises(OtherTenant):
        trials.written(words_of(ONE, "Hello"), booking)
    trial = trials.send(words_of("", "Hello"), booking, "me@example.com", admin_user)
    assert trial.tenant == TWO


# --- Jobs ---


def test_a_paused_tenants_reminders_wait_and_the_others_go_out() -> None:
    for customer in (alice(tenant=ONE), bob(tenant=TWO)):
        make_booking(customer, starts=20 * HOUR)
    Job.objects.update(run_at=timezone.now() - MINUTE)
    pauses.pause("tenant", [ONE], by="olga", reason="moving")
    dispatch_due()
    assert set(Job.objects.filter(state="queued").values_list("tenant", flat=True)) == {TWO}


def test_the_next_channel_is_of_the_same_tenant(worker: InProcessWorker) -> None:
    customer = alice(tenant=ONE, phone="+4915112345678")
    a_rule(name="Two ways", channels=["email", "inbox"], tenant=ONE)
    booking = make_booking(customer)
    first = booking.deliveries.get(rule__name="Two ways")
    Delivery.objects.filter(pk=first.pk).update(send_at=timezone.now() - MINUTE)
    Job.objects.filter(pk=first.pk).update(run_at=timezone.now() - MINUTE)
    Customer.objects.filter(pk=customer.pk).update(email="")
    worker.run_due()
    second = booking.deliveries.get(rule__name="Two ways", channel="inbox")
    assert second.tenant == ONE and Job.objects.get(pk=second.pk).tenant == ONE == job_for(second).tenant


def test_a_change_to_many_is_of_one_tenant() -> None:
    ones, twos = (make_booking(one, location="Clinic") for one in (alice(tenant=ONE), bob(tenant=TWO)))
    words = bulk.Circular(subject="Closed", text="Closed", channels=(Channel.INBOX,), quiet_from=None, quiet_until=None)
    selection = bulk.Selection(tenant=ONE, location="Clinic")
    assert bulk.preview(selection, bulk.Kind.CANCEL, message=words).bookings == 1
    change = bulk.start(bulk.Kind.CANCEL, selection, message=words, reason="pipe", actor="olga")
    while bulk._chunk(change.pk)[1]:
        pass
    for booking in (ones, twos):
        booking.refresh_from_db()
    assert (ones.status, twos.status) == ("cancelled", "booked")
    assert change.rule is not None and change.job_id is not None
    assert {change.tenant, change.rule.tenant, Job.objects.get(pk=change.job_id).tenant} == {ONE}
    assert {(one.tenant, one.booking_id) for one in change.deliveries.all()} == {(ONE, ones.pk)}
    assert broken() == set()


def test_a_selection_of_a_tenant_and_nothing_else_is_refused() -> None:
    with pytest.raises(ValueError, match="Say which bookings"):
        bulk.Selection(tenant=ONE)
