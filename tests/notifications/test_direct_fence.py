"""Direct messages: nothing goes to who must not be written to, though it changes at the last moment."""

from typing import Any

import pytest
from django.utils import timezone

from jobs import ledger
from notifications import consent, direct_ends, direct_words, reconciler
from notifications.models import Customer, DirectMessage, Suppression
from tests.notifications.providers import Providers, providers as providers
from tests.notifications.writing_direct import SECOND, became, job_of, written

pytestmark = pytest.mark.django_db


def opt_out(message: DirectMessage) -> None:
    assert message.customer
    consent.record(message.customer, "email", granted=False, source="form", actor="x", evidence="x")


def suppress(message: DirectMessage) -> None:
    Suppression.objects.create(channel="email", address=direct_words.address(message), cause="bounce")


def forget_address(message: DirectMessage) -> None:
    Customer.objects.update(email="")


def outdate(message: DirectMessage) -> None:
    DirectMessage.objects.update(useful_until=timezone.now() - SECOND)


CHANGES = {"opted_out": opt_out, "suppressed": suppress, "no_address": forget_address, "too_late": outdate}


@pytest.mark.parametrize("meanwhile", [False, True], ids=["before", "between rendering and the call"])
@pytest.mark.parametrize("reason", CHANGES)
def test_nothing_goes_to_who_must_not_be_written_to(
    reason: str, meanwhile: bool, worker: Any, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, render = written(), direct_words.render
    if meanwhile:

        def rendered(row: DirectMessage) -> Any:
            found = render(row)
            CHANGES[reason](row)
            return found

        monkeypatch.setattr(direct_words, "render", rendered)
    else:
        CHANGES[reason](message)
    worker.run_due()
    assert became(message) == ("skipped", reason) and providers["email"].asked == {}


def test_a_suppressed_address_of_nobody_gets_nothing(worker: Any, providers: Providers) -> None:
    message = written(address="Carol@Example.com")
    Suppression.objects.create(channel="email", address="carol@example.com", cause="complaint")
    worker.run_due()
    assert became(message) == ("skipped", "suppressed") and providers["email"].asked == {}


def test_what_was_withdrawn_is_not_sent(worker: Any, providers: Providers) -> None:
    message = written()
    assert direct_ends.withdraw([message.pk], "olga") == 1
    worker.run_due()
    assert became(message) == ("skipped", "job_cancelled") and providers["email"].asked == {}
    assert job_of(message).state == "cancelled" and direct_ends.withdraw([message.pk], "olga") == 0


def test_a_withdrawal_while_it_is_written_comes_before_the_intent(
    worker: Any, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, render = written(), direct_words.render

    def rendered(row: DirectMessage) -> Any:
        assert direct_ends.withdraw([row.pk], "olga") == 1
        return render(row)

    monkeypatch.setattr(direct_words, "render", rendered)
    worker.run_due()
    assert became(message)[0] == "skipped" and providers["email"].asked == {}


def test_a_cancel_of_its_running_job_comes_before_the_intent(
    worker: Any, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, render = written(), direct_words.render

    def rendered(row: DirectMessage) -> Any:
        ledger.cancel([row.pk], "wrong")
        return render(row)

    monkeypatch.setattr(direct_words, "render", rendered)
    worker.run_due()
    assert job_of(message).state == "cancelled" and providers["email"].asked == {}
    direct_ends.settle()
    assert became(message) == ("skipped", "job_cancelled")


def test_a_cancelled_job_leaves_no_open_message(worker: Any) -> None:
    message = written()
    ledger.cancel([message.pk], "wrong")
    assert direct_ends.settle() == 1
    assert became(message) == ("skipped", "job_cancelled")
    assert reconciler.settle_all() is None
