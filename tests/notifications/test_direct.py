"""Direct messages: one recipient, one message, once; and what is told when nobody knows."""

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs import ledger, scopes
from jobs.files import Export
from jobs.ids import new_id
from jobs.library import exports, people, storage
from jobs.library.exports import Wanted as ExportWanted
from jobs.library.storage import Whose
from jobs.models import Job
from notifications import consent, direct, direct_ends, direct_sending, direct_words, reconciler, wording
from notifications.channels.base import Busy, Refused, Throttled, Unknown
from notifications.direct import Wanted
from notifications.guarantees import QUARANTINE, REQUEST
from notifications.models import Customer, DirectMessage, InboxItem, MessageTemplate, OutboxMessage, Suppression
from tests.factories import DAY, HOUR, MINUTE, alice
from tests.jobs.test_scopes import person
from tests.notifications.providers import Providers, providers as providers

pytestmark = pytest.mark.django_db
OLGA = people.Person("olga", lambda permission: True, user_id=None)
SECOND = timedelta(seconds=1)


def written(**said: Any) -> DirectMessage:
    usual: dict[str, Any] = {"channel": "email", "subject": "Hello", "text": "Dear {{ customer.name }}, it rains."}
    if "customer" not in said and "address" not in said:
        said["customer"] = alice().pk
    return direct.write(Wanted(**usual | said), OLGA)


def became(message: DirectMessage) -> tuple[str, str]:
    message.refresh_from_db()
    return message.state, message.reason


def job_of(message: DirectMessage) -> Any:
    return Job.objects.get(pk=message.pk)


def again(worker: Any, message: DirectMessage) -> None:
    Job.objects.filter(pk=message.pk, state="scheduled").update(run_at=timezone.now() - MINUTE)
    worker.run_due()


# --- What goes out --------------------------------------------------------------------------------------


def test_an_email_to_a_customer_by_its_real_channel(worker: Any) -> None:
    message = written(html="<p>Dear {{ customer.name }} & {{ pet }}</p>", variables={"pet": "<Bello>"})
    worker.run_due()
    assert became(message) == ("sent", "")
    sent: Any = mail.outbox[0]
    assert (
        len(mail.outbox) == 1 and sent.to == ["alice@example.com"] and sent.body.strip() == "Dear Alice Ähre, it rains."
    )
    assert str(message.pk) in sent.extra_headers["Message-ID"] and "List-Unsubscribe" in sent.extra_headers
    (html, _mime) = sent.alternatives[0]
    assert "&lt;Bello&gt;" in str(html)


def test_arguments_of_the_job_hold_the_messages_id_and_nothing_else(worker: Any) -> None:
    message = written(address="carol@example.com", customer=None, text="secret words", variables={"a": "secret"})
    job = job_of(message)
    assert (job.pk, job.args, job.kwargs) == (message.pk, [str(message.pk)], {})
    worker.run_due()
    job.refresh_from_db()
    assert job.state == "succeeded" and mail.outbox[0].to == ["carol@example.com"]
    assert "secret" not in str(vars(job)) and "carol" not in str(vars(job))


def test_an_sms_and_a_notice_in_the_app(worker: Any) -> None:
    customer = alice(phone="+4915123456789")
    sms = written(channel="sms", customer=customer.pk, subject="", text="It rains")
    note = written(channel="inbox", customer=customer.pk, level="warning", metadata={"page": "weather", "number": 3})
    worker.run_due()
    assert [became(one)[0] for one in (sms, note)] == ["sent", "sent"]
    out = OutboxMessage.objects.get(key=str(sms.pk))
    assert (out.to, out.text) == ("+4915123456789", "It rains")
    item = InboxItem.objects.get(key=str(note.pk))
    assert (item.customer, item.title, item.level) == (customer, "Hello", "warning")
    assert item.metadata == {"page": "weather", "number": 3}


def test_a_template_with_variables_in_the_customers_language(worker: Any) -> None:
    for locale, text in (("en", "Rain at {{ place }}"), ("de", "Regen in {{ place }}")):
        MessageTemplate.objects.create(message="weather", channel="email", locale=locale, subject="!", text=text)
    written(template="weather", text="", subject="", variables={"place": "Köln"}, customer=alice(locale="de").pk)
    worker.run_due()
    assert mail.outbox[0].body.strip() == "Regen in Köln"


OWN = {  # (tenant, locale): text
    ("", "en"): "everybody's",
    ("", "de"): "aller",
    ("south", "en"): "south's",
    ("north", "en"): "north's",
    ("north", "de"): "die vom Norden",
}


@pytest.mark.parametrize(
    ("tenant", "locale", "said"),
    [
        ("north", "de", "die vom Norden"),
        ("north", "de_AT", "die vom Norden"),
        ("south", "de", "aller"),  # the customer's language before the tenant's own words, as in a reminder
        ("south", "fr", "south's"),
        ("", "en", "everybody's"),
        ("east", "en", "everybody's"),
    ],
)
def test_a_template_has_the_tenants_own_words_in_the_order_of_a_reminders(
    worker: Any, tenant: str, locale: str, said: str
) -> None:
    for (of_whom, language), text in OWN.items():
        MessageTemplate.objects.create(
            tenant=of_whom, message="weather", channel="email", locale=language, subject="!", text=text
        )
    customer = alice(tenant=tenant, locale=locale)
    message = written(template="weather", text="", subject="", customer=customer.pk)
    assert wording.words("weather", "email", customer.locale, customer.tenant).text == said
    worker.run_due()
    assert became(message) == ("sent", "") and mail.outbox[0].body.strip() == said


def test_who_is_no_customer_gets_the_words_of_the_senders_tenant(worker: Any) -> None:
    for tenant in ("", "north"):
        MessageTemplate.objects.create(
            tenant=tenant, message="weather", channel="email", locale="en", subject="!", text=f"of {tenant or 'all'}"
        )
    north = people.Person("n", lambda permission: True, scopes.Scope(((("messages",), ("north",)),)), tenant="north")
    wanted = Wanted(channel="email", address="c@example.com", template="weather")  # type: ignore[arg-type]
    direct.write(wanted, north)
    worker.run_due()
    assert mail.outbox[0].body.strip() == "of north"


def test_words_of_a_tenant_are_found_with_the_one_query_that_finds_any() -> None:
    for tenant in ("", "north"):
        MessageTemplate.objects.create(
            tenant=tenant, message="weather", channel="email", locale="en", subject="!", text="x"
        )
    message = written(template="weather", text="", subject="", customer=alice(tenant="north").pk)
    message = DirectMessage.objects.select_related("customer").get(pk=message.pk)  # as it is looked at before it goes
    with CaptureQueriesContext(connection) as asked:
        direct_words.render(message)
    assert len(asked) == 1


def test_a_file_is_attached(worker: Any) -> None:
    file = storage.keep(io.BytesIO(b"%PDF"), "Rechnung.pdf", "application/pdf")
    written(attachments=[file.pk])
    worker.run_due()
    attached = [one for one in mail.outbox[0].attachments if "calendar" not in str(one)]
    assert [(one[0], one[1], one[2]) for one in attached] == [("Rechnung.pdf", b"%PDF", "application/pdf")]


def test_a_changed_address_and_name_are_right_when_it_goes(worker: Any) -> None:
    message = written(send_at=timezone.now() + DAY)
    Customer.objects.update(name="Alice Berg", email="berg@example.com")
    DirectMessage.objects.update(send_at=timezone.now() - MINUTE)
    again(worker, message)
    assert mail.outbox[0].to == ["berg@example.com"] and "Alice Berg" in mail.outbox[0].body


def test_it_waits_for_its_time(worker: Any, providers: Providers) -> None:
    message = written(send_at=timezone.now() + HOUR)
    worker.run_due()
    assert became(message) == ("planned", "") and providers["email"].asked == {}
    assert job_of(message).state == "scheduled"


def test_priority_and_the_second_call_with_an_id(providers: Providers, worker: Any) -> None:
    pk, wanted = new_id(), Wanted(channel="email", address="c@example.com", subject="s", text="t", priority=20)  # type: ignore[arg-type]
    first, second = (direct.write(wanted, OLGA, pk=pk) for _ in range(2))
    assert first == second and job_of(first).priority == 20 and Job.objects.count() == 1
    worker.run_due()
    direct.write(wanted, OLGA, pk=pk)
    worker.run_due()
    assert providers["email"].asked == {str(pk): 1}


# --- What is refused when it is written -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"address": "carol@example.com", "customer": 1}, "and not both"),
        ({"address": "nobody"}, "valid email"),
        ({"address": "0151", "channel": "sms"}, "starts with"),
        ({"address": "a@example.com\nBcc: x@example.com"}, "valid email"),
        ({"customer": 999}, "no customer 999"),
        ({"text": ""}, "template or write a text"),
        ({"subject": ""}, "subject"),
        ({"text": "{{ pet }}"}, "undefined"),
        ({"text": "{% include 'x' %}"}, "text"),
        ({"template": "nothing", "text": ""}, "no words for 'nothing'"),
        ({"variables": {"customer": "x"}}, "No variable"),
        ({"variables": {"__class__": "x"}}, "No variable"),
        ({"variables": {"a": ["x"]}}, "variables"),
        ({"channel": "webhook"}, "Webhooks"),
        ({"channel": "inbox", "address": "a@example.com"}, "belong to a customer"),
        ({"attachments": [str(new_id())]}, "There is no file"),
        ({"level": "panic"}, "level"),
        ({"useful_for": 0}, "more than no time"),
        ({"sender": "me@example.com"}, "not permitted"),
    ],
)
def test_what_cannot_be_said_is_refused_when_it_is_written(said: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        written(**said)
    assert not DirectMessage.objects.exists() and not Job.objects.exists()


def test_who_may_not_write_does_not(providers: Providers) -> None:
    wanted = Wanted(channel="email", address="c@example.com", subject="s", text="t")  # type: ignore[arg-type]
    limited = people.Person("x", lambda permission: True, scopes.Scope(((("default",), ("a",)),)))
    for who in (people.Person("x", lambda permission: False), limited):
        with pytest.raises(PermissionDenied):
            direct.write(wanted, who)


def test_a_personal_file_of_another_is_not_sent_on() -> None:
    file = storage.keep(io.BytesIO(b"x"), "x", "text/plain", Whose(personal=True, owner_id=None))
    mine = people.Person("x", lambda permission: True, user_id=7)
    wanted = Wanted(channel="email", address="c@example.com", subject="s", text="t", attachments=[file.pk])  # type: ignore[arg-type]
    with pytest.raises(PermissionDenied):
        direct.write(wanted, mine)


def test_only_files_that_one_may_have_oneself_are_sent_on(worker: Any) -> None:
    """Else the way by one's own mailbox would give what the page of files does not."""
    olga, otto = person("Manager"), person("Operator")
    masked = exports.ask(ExportWanted(source="customers"), people.of(person("Viewer")))
    personal = exports.ask(ExportWanted(source="customers"), people.of(olga))
    worker.run_due()
    files = [Export.objects.get(pk=one.pk).file_id for one in (masked, personal)]
    needs = storage.keep(io.BytesIO(b"x"), "x", "text/plain", Whose(olga.pk, permission="notifications.none")).pk
    others = storage.keep(io.BytesIO(b"x"), "x", "text/plain", Whose(otto.pk)).pk

    def sends(file: Any, may: Callable[[str], bool]) -> bool:
        wanted = Wanted(channel="email", address="c@example.com", subject="s", text="t", attachments=[file])  # type: ignore[arg-type]
        try:
            direct.write(wanted, people.Person("olga", may, user_id=olga.pk))
        except PermissionDenied:
            return False
        return True

    assert [sends(file, olga.has_perm) for file in (*files, needs, others)] == [False, True, False, False]
    assert not sends(files[1], lambda permission: permission != "notifications.reveal_customer"), "he has lost it since"


# --- The fence ------------------------------------------------------------------------------------------


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


def test_a_message_goes_by_its_own_channel_only(worker: Any, providers: Providers) -> None:
    message = written(channel="sms", customer=alice(phone="+4915123456789").pk, subject="")
    other = direct.send_email.delay(message.pk)
    worker.run_due()
    assert Job.objects.get(pk=UUID(other.id)).state == "failed" and providers["email"].asked == {}
    assert providers["sms"].asked == {str(message.pk): 1}


def test_a_file_that_will_be_gone_by_then_is_refused_when_the_message_is_written() -> None:
    file = storage.keep(io.BytesIO(b"x"), "a.txt", "text/plain", Whose(keep=DAY))
    with pytest.raises(ValueError, match="is kept until"):
        written(attachments=[file.pk], send_at=timezone.now() + 3 * DAY)
    written(attachments=[file.pk], send_at=timezone.now() + HOUR)


@pytest.mark.parametrize(("state", "end"), [("planned", "skipped"), ("sending", "in_doubt")])
def test_a_message_whose_job_was_deleted_does_not_wait_for_ever(state: str, end: str) -> None:
    message = written()
    DirectMessage.objects.update(state=state)
    Job.objects.filter(pk=message.pk).delete()
    reconciler.settle_all()
    assert became(message)[0] == end
