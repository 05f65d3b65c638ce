"""Mails of reports in doubt: decided once by somebody who knows, by page or command, with a reason on record."""

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from jobs.models import Job, JobEvent
from notifications import reconciler
from notifications.channels import CHANNELS
from notifications.channels.base import Unknown
from notifications.models import ReportMail
from notifications.reports import mail_ends
from tests.factories import HOUR
from tests.jobs.races import TRANSACTIONAL, at_once, need_two_writers
from tests.jobs.test_scopes import client_of
from tests.notifications.providers import Provider
from tests.reports.mailing import order, run_all, staff

pytestmark = pytest.mark.django_db
LIST = "admin:notifications_reportmail_changelist"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    made = Provider()
    monkeypatch.setitem(CHANNELS, "email", made)
    return made


def doubtful(worker: Any, provider: Provider) -> ReportMail:
    provider.answers = [Unknown("timed out")]
    order(staff("olga"))
    run_all(worker)
    mail = ReportMail.objects.get()
    assert mail.state == "in_doubt"
    return mail


@pytest.fixture
def doubt(worker: Any, provider: Provider) -> ReportMail:
    return doubtful(worker, provider)


def state_of(mail: ReportMail) -> str:
    mail.refresh_from_db()
    return mail.state


def told(mail: ReportMail) -> list[tuple[str, str, str]]:
    return list(JobEvent.objects.filter(job=mail.pk).values_list("by", "verb", "reason"))


def test_what_arrived_is_kept_as_sent_when_its_intent_was(doubt: ReportMail, worker: Any, provider: Provider) -> None:
    assert mail_ends.resolve([doubt.pk], "sent", "olga", "I have it") == 1
    assert state_of(doubt) == "sent" and doubt.sent_at == doubt.intent_at
    assert doubt.detail == "sent, says olga: I have it" and told(doubt) == [("olga", "doubt: sent", "I have it")]
    run_all(worker)
    assert provider.asked == {str(doubt.pk): 1}


def test_what_is_to_go_again_goes_once_more(doubt: ReportMail, worker: Any, provider: Provider) -> None:
    assert mail_ends.resolve([doubt.pk], "resend", "olga", "not in the log") == 1
    assert state_of(doubt) == "planned" and told(doubt) == [("olga", "doubt: resend", "not in the log")]
    reconciler.settle_all()
    run_all(worker)
    run_all(worker)
    assert state_of(doubt) == "sent" and provider.asked == {str(doubt.pk): 2}


def test_who_may_not_see_the_report_any_more_gets_no_second_one(
    doubt: ReportMail, worker: Any, provider: Provider
) -> None:
    User.objects.filter(username="olga").update(is_staff=False)
    mail_ends.resolve([doubt.pk], "resend", "maria", "not in the log")
    run_all(worker)
    assert state_of(doubt) == "skipped" and provider.asked == {str(doubt.pk): 1}


def test_a_mail_whose_job_was_deleted_gets_one_of_the_same_id(
    doubt: ReportMail, worker: Any, provider: Provider
) -> None:
    Job.objects.filter(pk=doubt.pk).delete()
    assert mail_ends.resolve([doubt.pk], "resend", "olga", "not in the log") == 1
    reconciler.settle_all()
    run_all(worker)
    assert state_of(doubt) == "sent" and provider.asked == {str(doubt.pk): 2}


def test_a_job_that_still_runs_knows_better(doubt: ReportMail) -> None:
    running = {"state": "running", "lease_until": timezone.now() + HOUR, "finished_at": None}
    Job.objects.filter(pk=doubt.pk).update(**running)
    assert mail_ends.resolve([doubt.pk], "resend", "olga", "why not") == 0
    assert state_of(doubt) == "in_doubt" and not told(doubt)


@pytest.mark.parametrize("state", ["planned", "sending", "sent", "refused", "skipped"])
@pytest.mark.parametrize("outcome", mail_ends.OUTCOMES)
def test_what_is_in_no_doubt_is_left_alone(doubt: ReportMail, outcome: str, state: str) -> None:
    ReportMail.objects.update(state=state)
    before = ReportMail.objects.values().get(), Job.objects.values().get(pk=doubt.pk)
    assert mail_ends.resolve([doubt.pk], outcome, "olga", "why not") == 0
    assert (ReportMail.objects.values().get(), Job.objects.values().get(pk=doubt.pk)) == before


@pytest.mark.parametrize(("outcome", "who", "reason"), [("maybe", "o", "r"), ("sent", " ", "r"), ("resend", "o", " ")])
def test_a_decision_has_a_name_and_a_reason(doubt: ReportMail, outcome: str, who: str, reason: str) -> None:
    with pytest.raises(ValueError):
        mail_ends.resolve([doubt.pk], outcome, who, reason)
    assert state_of(doubt) == "in_doubt"


@TRANSACTIONAL
@pytest.mark.parametrize("outcomes", [("sent", "sent"), ("resend", "resend"), ("sent", "resend")])
def test_of_two_who_decide_at_once_one_does(worker: Any, provider: Provider, outcomes: tuple[str, str]) -> None:
    need_two_writers()
    doubt = doubtful(worker, provider)

    def deciding(number: int) -> Any:
        return lambda: mail_ends.resolve([doubt.pk], outcomes[number], f"person {number}", "I looked")

    done = at_once(deciding(0), deciding(1))
    assert sorted(done) == [0, 1]
    winner = done.index(1)
    assert told(doubt) == [(f"person {winner}", f"doubt: {outcomes[winner]}", "I looked")]
    assert state_of(doubt) == {"sent": "sent", "resend": "planned"}[outcomes[winner]]
    run_all(worker)
    assert provider.asked == {str(doubt.pk): 2 if outcomes[winner] == "resend" else 1}


# --- The pages ---


def test_an_operator_finds_it_and_decides_it_and_it_is_on_record(doubt: ReportMail) -> None:
    client = client_of(staff("oskar"))
    doubts = client.get(reverse("admin:notifications_delivery_doubts")).content.decode()
    assert f"{reverse(LIST)}?state__exact=in_doubt" in doubts
    page = reverse("admin:notifications_reportmail_change", args=[doubt.pk])
    assert page in client.get(reverse(LIST), {"state__exact": "in_doubt"}).content.decode()
    assert page in client.get(reverse("admin:notifications_report_change", args=[doubt.report_id])).content.decode()
    assert [one["verb"].name for one in client.get(page).context["verbs"]] == ["arrived", "send_again"]
    answer = client.post(reverse("admin:notifications_reportmail_do", args=[doubt.pk, "arrived"]), {"reason": "seen"})
    assert answer.status_code == 302 and state_of(doubt) == "sent"
    assert LogEntry.objects.get().change_message == "arrived: seen"
    assert client.get(page).context["verbs"] == []
    again = client.post(
        reverse("admin:notifications_reportmail_do", args=[doubt.pk, "arrived"]), {"reason": "seen"}, follow=True
    )
    assert "not in doubt any more" in again.content.decode() and LogEntry.objects.count() == 1
    assert (
        "Mails of reports in doubt" not in client.get(reverse("admin:notifications_delivery_doubts")).content.decode()
    )


def test_the_list_takes_the_same_queries_for_one_and_for_many(
    doubt: ReportMail, django_assert_max_num_queries: Any
) -> None:
    client = client_of(staff("oskar"))
    for number in range(40):
        ReportMail.objects.create(report=doubt.report, user=staff(f"reader{number}"), state="sent")
    page = reverse("admin:notifications_report_change", args=[doubt.report_id])
    for address in (reverse(LIST), f"{reverse(LIST)}?state__exact=sent", f"{reverse(LIST)}?q=reader7", page):
        client.get(address)
        with django_assert_max_num_queries(12):
            assert "reader7" in client.get(address).content.decode()


# --- The command ---


def ran(*words: str) -> str:
    out = StringIO()
    call_command("report_mail", *words, stdout=out)
    return out.getvalue()


def test_the_command_lists_what_is_in_doubt_and_settles_it(doubt: ReportMail) -> None:
    assert str(doubt.pk) in ran() and "olga" in ran()
    assert (
        json.loads(ran(str(doubt.pk), "resend", "--reason", "not in the log", "--by", "maria"))["outcome"] == "resend"
    )
    assert told(doubt) == [("maria", "doubt: resend", "not in the log")]
    assert json.loads(ran()) == {"in_doubt": 0}


def test_the_command_says_what_it_needs(doubt: ReportMail) -> None:
    for words, needed in (
        ([str(doubt.pk)], "sent or resend"),
        ([str(doubt.pk), "sent"], "--reason"),
        (["018f0000-0000-7000-8000-000000000000", "sent", "--reason", "x"], "no mail in doubt"),
        (["7", "sent"], "invalid UUID"),
    ):
        with pytest.raises(CommandError, match=needed):
            ran(*words)
    assert state_of(doubt) == "in_doubt"
