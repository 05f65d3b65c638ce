"""The pages of jobs, orders and queues: what they show to whom, and that an action is shown before it is done."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_results.models import TaskResult

from jobs import bulk_orders, crews
from jobs.admin.verbs import ordering
from jobs.arguments import masked
from jobs.models import Attempt, Job, JobEvent, Order, Pause, Queue
from tests.factories import DAY, HOUR, MINUTE, alice, make_booking, make_job
from tests.jobs.test_scopes import client_of, person

pytestmark = pytest.mark.django_db
LIST = "admin:jobs_job_changelist"


@pytest.fixture
def olga() -> Client:
    """She operates, and may see all but what is masked."""
    return client_of(person("Operator"))


@pytest.fixture
def root() -> Client:
    return client_of(User.objects.create_superuser("root"))


def page_of(client: Client, job: Job) -> str:
    return client.get(reverse("admin:jobs_job_change", args=[job.pk])).content.decode()


def do(client: Client, verb: str, asked: dict[str, Any], **said: Any) -> Any:
    """From the page that shows it to its receipt."""
    url = ordering(verb, asked)
    seen = client.get(url).context
    return client.post(url, {"reason": "venue shut", "_seen": seen["token"], **said}, follow=True)


# --- The list ---


def test_the_list_takes_the_same_queries_for_one_page_and_for_many(olga: Client, django_assert_max_num_queries) -> None:
    for _ in range(120):
        make_job()
    olga.get(reverse(LIST))
    with django_assert_max_num_queries(10):
        first = olga.get(reverse(LIST))
    assert 'rel="next"' in first.content.decode() and 'rel="prev"' not in first.content.decode()
    older = first.context["cl"].older
    with django_assert_max_num_queries(10):
        second = olga.get(reverse(LIST) + older).content.decode()
    assert 'rel="next"' in second and 'rel="prev"' in second


def test_a_great_number_is_told_as_more_than(olga: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.listing.MOST", 60)
    for _ in range(70):
        make_job()
    assert "more than 60" in olga.get(reverse(LIST)).content.decode()


def test_the_list_tells_how_late_a_job_is(olga: Client) -> None:
    now = timezone.now()
    make_job("succeeded", run_at=now - HOUR, started_at=now - HOUR + timedelta(seconds=90))
    assert "0:01:30" in olga.get(reverse(LIST)).content.decode()


def test_filters_of_the_address_are_the_lists_and_others_are_refused(olga: Client) -> None:
    make_job("failed", signature="Flaky: <n>"), make_job()
    found = olga.get(reverse(LIST), {"state__exact": "failed", "signature": "Flaky: <n>"})
    assert found.context["cl"].result_count == 1
    windows = {"run_at_from_0": "2020-01-01", "run_at_from_1": "00:00:00", "run_at_to_0": "2020-02-01"}
    assert olga.get(reverse(LIST), windows).context["cl"].result_count == 0
    for question in ({"kwargs__icontains": "alice"}, {"args__0": "a"}):
        assert olga.get(reverse(LIST), question).status_code == 400
    for broken in ({"after": "x"}, {"state__exact": "mislaid"}, {"run_at_from_0": "soon"}):
        assert olga.get(reverse(LIST), broken).status_code == 302


# --- The page ---


def test_the_page_tells_the_story_of_its_attempts(olga: Client, django_assert_max_num_queries) -> None:
    job = make_job("failed", token=2, failures=2, reason="Flaky: broken", log=["12:00:00 halfway"])
    for number in (1, 2):
        story = {"number": number, "worker": f"w{number}@here", "duration": timedelta(seconds=1.5)}
        Attempt.objects.create(job=job, outcome="errored", error="Flaky: broken", traceback="line 7", **story)
    JobEvent.objects.create(job=job, by="maria", verb="retry", reason="try again", before="failed", outcome="done")
    with django_assert_max_num_queries(14):
        page = page_of(olga, job)
    for told in ("w1@here", "w2@here", "1.500 s", "line 7", "maria asked: run again", "try again", "12:00:00 halfway"):
        assert told in page, told
    assert "<details" in page and "data-live" not in page


def test_what_runs_is_asked_for_again_and_what_is_over_is_not(olga: Client) -> None:
    job = make_job("running", progress={"done": 3, "total": 12, "note": "rows"})
    live = reverse("admin:jobs_job_live", args=[job.pk])
    assert f'data-live="{live}"' in page_of(olga, job)
    answer = olga.get(live)
    assert "3 / 12 rows" in answer.content.decode() and "X-Over" not in answer
    Job.objects.update(state="succeeded", finished_at=timezone.now(), lease_until=None)
    assert olga.get(live)["X-Over"] == "yes"


def test_arguments_are_masked_for_all_but_those_who_may_see_them(olga: Client) -> None:
    job = make_job(args=["alice@example.com", 7], kwargs={"note": "secret"}, result={"token": "q-x-z"})
    page, plain = page_of(olga, job), page_of(client_of(person("Manager")), job)
    for secret in ("alice@example.com", "secret", "q-x-z"):  # no letters of an id
        assert secret not in page and secret in plain
    assert "text of 17 characters" in page and "note" in page


def test_masks_keep_the_shape_and_nothing_else() -> None:
    told = masked({"args": ["a", 1, None, True, [1, "b"]], "kwargs": {"alice@example.com": "abc"}})
    assert json.loads(json.dumps(told)) == {
        "args": ["text of 1 character", "number", None, "yes or no", ["number", "text of 1 character"]],
        "kwargs": "object with 1 entry",
    }
    assert masked([1] * 21) == "list of 21"


def test_errors_show_no_address_to_who_may_not_know_customers(olga: Client) -> None:
    job = make_job("failed", token=1, reason="550 <alice@example.com> unknown")
    Attempt.objects.create(job=job, number=1, outcome="errored", error=job.reason, traceback="to alice@example.com")
    assert "alice@example.com" not in page_of(olga, job) + olga.get(reverse(LIST)).content.decode()
    assert "alice@example.com" in page_of(client_of(person("Manager")), job)


def test_the_page_leads_to_delivery_booking_flower_and_result(olga: Client, settings: Any) -> None:
    settings.FLOWER_URL = "http://127.0.0.1:5555/"
    booking = make_booking(alice())
    delivery = booking.deliveries.filter(state="planned")[0]  # one that falls into the night is skipped, and has no job
    result = TaskResult.objects.create(task_id=str(delivery.pk))
    page = page_of(olga, Job.objects.get(pk=delivery.pk))
    for address in (
        reverse("admin:notifications_delivery_change", args=[delivery.pk]),
        reverse("admin:notifications_booking_change", args=[booking.pk]),
        reverse("admin:django_celery_results_taskresult_change", args=[result.pk]),
        f"http://127.0.0.1:5555/task/{delivery.pk}",
    ):
        assert f'href="{address}"' in page, address


def test_the_page_offers_what_fits_the_state(olga: Client) -> None:
    assert "verb=cancel" in page_of(olga, make_job()) and "verb=retry" in page_of(olga, make_job("failed"))
    assert "verb=cancel" not in page_of(olga, make_job("failed"))


# --- Orders ---


def test_an_action_shows_what_it_would_do_and_asks_why(olga: Client) -> None:
    jobs = [make_job(), make_job("running"), make_job("succeeded")]
    act = {"action": "cancel", "_selected_action": [str(job.pk) for job in jobs]}
    page = olga.post(reverse(LIST), act, follow=True)
    assert "would be changed: 2." in page.content.decode() and "Running at this moment: 1." in page.content.decode()
    assert not JobEvent.objects.exists()
    url = page.request["PATH_INFO"] + "?" + page.request["QUERY_STRING"]
    assert "This field is required" in olga.post(url, {"_seen": page.context["token"]}).content.decode()
    assert not JobEvent.objects.exists()
    receipt = olga.post(url, {"_seen": page.context["token"], "reason": "venue shut"}, follow=True).content.decode()
    assert "cancelled: <strong>1</strong>" in receipt and "asked to stop: <strong>1</strong>" in receipt
    assert Job.objects.get(pk=jobs[0].pk).reason == "venue shut"
    entry = LogEntry.objects.get()
    assert "cancel (2): venue shut" in entry.change_message and entry.object_id == str(Order.objects.get().pk)


def test_all_that_matches_the_filter_is_what_the_list_shows(olga: Client) -> None:
    make_job(task="probe.fail"), make_job(), make_job(task="probe.fail", queue="messages")
    act = {"action": "cancel", "_selected_action": ["x"], "select_across": "1"}
    page = olga.post(reverse(LIST) + "?task=probe.fail&queue=default", act, follow=True)
    assert page.context["total"] == "1"


def test_an_order_to_all_jobs_is_refused(olga: Client) -> None:
    make_job()
    answer = olga.get(ordering("cancel", {}), follow=True)
    assert "Filter the list first" in answer.content.decode()


def test_what_was_not_shown_is_shown_again(olga: Client) -> None:
    make_job()
    url = ordering("cancel", {"task": "probe.ok"})
    token = olga.get(url).context["token"]
    make_job()
    for seen in (token, "forged"):
        page = olga.post(url, {"reason": "x", "_seen": seen})
        assert page.status_code == 200 and "has changed since" in page.content.decode()
    assert not JobEvent.objects.exists()


def test_of_two_clicks_that_both_found_no_order_one_gives_it(olga: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes between the first's look and its start."""
    make_job("failed")
    url, start, answers = ordering("retry", {"queue": "default"}), bulk_orders.start, []
    form = {"reason": "mended", "_seen": olga.get(url).context["token"]}

    def held(*args: Any, **kwargs: Any) -> Order:
        monkeypatch.setattr(bulk_orders, "start", start)
        answers.append(olga.post(url, form))
        return start(*args, **kwargs)

    monkeypatch.setattr(bulk_orders, "start", held)
    answers.append(olga.post(url, form))
    assert [answer.status_code for answer in answers] == [302, 302]
    assert answers[0]["Location"] == answers[1]["Location"] and Order.objects.count() == 1


def test_each_verb_with_what_it_asks_for(olga: Client) -> None:
    failed, waiting = make_job("failed"), make_job(due=DAY)
    do(olga, "retry", {"ids": failed.pk}, per_minute="60")
    assert Job.objects.get(pk=failed.pk).state == "scheduled"
    assert "Say by how many minutes" in do(olga, "postpone", {"ids": waiting.pk}).content.decode()
    do(olga, "postpone", {"ids": waiting.pk}, minutes="60")
    assert Job.objects.get(pk=waiting.pk).run_at == waiting.run_at + HOUR
    assert (
        "That is past"
        in do(olga, "postpone", {"ids": waiting.pk}, until_0="2020-01-01", until_1="00:00").content.decode()
    )
    do(olga, "reprioritise", {"ids": waiting.pk}, priority="20")
    do(olga, "run_now", {"ids": waiting.pk})
    row = Job.objects.get(pk=waiting.pk)
    assert row.priority == 20 and row.run_at < timezone.now() + MINUTE


def test_errors_are_grouped_and_lead_to_their_jobs_and_to_a_retry(olga: Client) -> None:
    for _ in range(3):
        make_job("failed", signature="Flaky: no room <n>")
    page = olga.get(reverse("admin:jobs_job_errors")).content.decode()
    assert "Flaky: no room &lt;n&gt;" in page and "probe.ok" in page
    do(olga, "retry", {"signature": "Flaky: no room <n>"})
    assert Job.objects.filter(state="scheduled").count() == 3


def test_an_open_order_is_called_off_by_post(olga: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.bulk_orders.AT_ONCE", 1)
    for _ in range(3):
        make_job()
    page = do(olga, "cancel", {"task": "probe.ok"}).content.decode()
    order = Order.objects.get()
    assert reverse("admin:jobs_order_live", args=[order.pk]) in page and "under way" in page
    call_off = reverse("admin:jobs_order_call_off", args=[order.pk])
    assert olga.get(call_off).status_code == 405
    assert "Called off" in olga.post(call_off, follow=True).content.decode()
    assert not Order.objects.get().open
    assert olga.get(reverse("admin:jobs_order_live", args=[order.pk]))["X-Over"] == "yes"


# --- Queues ---


def test_pausing_asks_why_and_until_when_and_takes_back_what_is_queued(olga: Client) -> None:
    Queue.objects.create(name="default")
    job = make_job("queued")
    url, act = reverse("admin:jobs_queue_changelist"), {"action": "pause", "_selected_action": ["default"]}
    assert "Nothing more is sent" in olga.post(url, act).content.decode()
    assert "This field is required" in olga.post(url, {**act, "_confirm": "1"}).content.decode()
    past = {"_confirm": "1", "reason": "flood", "until_0": "2020-01-01", "until_1": "00:00"}
    assert "That is past" in olga.post(url, {**act, **past}).content.decode()
    assert not Pause.objects.exists()
    until = timezone.now() + DAY
    said = {"_confirm": "1", "reason": "flood", "until_0": f"{until:%Y-%m-%d}", "until_1": f"{until:%H:%M}"}
    text = olga.post(url, {**act, **said}, follow=True).content.decode()
    assert "1 queued jobs taken back" in text and "flood" in text
    assert Job.objects.get(pk=job.pk).state == "scheduled"
    pause = Pause.objects.get()
    assert (pause.by, pause.reason) == ("operator", "flood") and pause.until
    assert LogEntry.objects.get().change_message == "pause: flood"
    live = olga.get(reverse("admin:jobs_queue_live", args=["default"])).content.decode()
    assert "Drained" in live and "flood" in live
    resume = {"action": "resume", "_selected_action": ["default"]}
    assert Pause.objects.exists() and "What is due is sent" in olga.post(url, resume).content.decode()
    olga.post(url, {**resume, "_confirm": "1", "reason": "over"})
    assert not Pause.objects.exists()


def test_a_queue_grows_and_shrinks_with_a_reason(root: Client) -> None:
    Queue.objects.create(name="default", desired_processes=2)
    url = reverse("admin:jobs_queue_scale", args=["default"])
    assert "Say why" in root.post(url, {"step": "grow"}, follow=True).content.decode()
    root.post(url, {"step": "grow", "reason": "newsletter"})
    (crew,) = crews.of(["default"])
    assert (crew.desired, crew.why) == (3, "by root. newsletter")
    root.post(url, {"step": "shrink", "reason": "over"})
    assert Queue.objects.get().desired_processes == 2
    root.post(url, {"step": "reset", "reason": "over"})
    assert Queue.objects.get().desired_processes is None
    assert "not between" in root.post(url, {"step": "shrink", "reason": "too few"}, follow=True).content.decode()
    assert LogEntry.objects.count() == 3
