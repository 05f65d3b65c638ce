"""Direct messages: what goes out, and what is refused when it is written."""

import io
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs import scopes
from jobs.files import Export
from jobs.ids import new_id
from jobs.library import exports, people, storage
from jobs.library.exports import Wanted as ExportWanted
from jobs.library.storage import Whose
from jobs.models import Job
from notifications import direct, direct_words, wording
from notifications.direct import Wanted
from notifications.models import Customer, DirectMessage, InboxItem, MessageTemplate, OutboxMessage
from tests.factories import DAY, HOUR, MINUTE, alice
from tests.jobs.test_scopes import person
from tests.notifications.providers import Providers, providers as providers
from tests.notifications.writing_direct import OLGA, again, became, job_of, written

pytestmark = pytest.mark.django_db


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


def test_how_to_hear_no_more_is_said_in_the_language_of_the_template(worker: Any) -> None:
    text = "{{ unsubscribe_text }}"
    MessageTemplate.objects.create(message="weather", channel="email", locale="en", subject="!", text=text)
    written(template="weather", text="", subject="", customer=alice(locale="de").pk)
    worker.run_due()
    assert mail.outbox[0].body.strip() == "No more reminders by email"


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
