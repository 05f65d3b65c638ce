"""Errors that differ in numbers, names and ids only have one signature; others do not."""

import pytest

from jobs import errors, ledger, signatures
from jobs.models import Attempt, Job
from tests.factories import HOUR, make_job


@pytest.mark.parametrize(
    ("error", "signature"),
    [
        ("Flaky: no room 17", "Flaky: no room <n>"),
        ("KeyError: 'alice'", "KeyError: <text>"),
        ('ValueError: could not convert "a" to "b"', "ValueError: could not convert <text> to <text>"),
        ("DoesNotExist: job 0193f5a2-7c1e-7abc-8def-0123456789ab is gone", "DoesNotExist: job <id> is gone"),
        ("SMTPError: 550 <alice@example.com> unknown", "SMTPError: <n> <<address>> unknown"),
        ("Timeout: https://example.com/x?y=1 after 10.5 s", "Timeout: <url> after <n> s"),
        ("TypeError: <object at 0x7f12ab>", "TypeError: <object at <id>>"),
        ("Error: can't and won't", "Error: can't and won't"),
        ("A:  two\n lines", "A: two lines"),
        ("", ""),
        ("x" * 500, "x" * 200),
    ],
)
def test_signatures(error: str, signature: str) -> None:
    assert signatures.of(error) == signature


@pytest.mark.django_db
def test_a_job_that_fails_for_good_has_one_and_a_retry_takes_it_away() -> None:
    job = make_job("running")
    ledger.give_up(job, Attempt(outcome="errored", error="Flaky: no room 17"))
    assert Job.objects.get().signature == "Flaky: no room <n>"
    ledger.retry([job.pk])
    assert Job.objects.get().signature == ""


@pytest.mark.django_db
def test_lost_workers_of_any_name_are_one_kind() -> None:
    for name in ("here:1", "there-7f9c:22"):
        ledger.rescue(make_job("running", lease="over", worker=name, max_attempts=1))
    (group,) = errors.groups(Job.objects.all()).found
    assert (group.signature, group.count) == ("its worker was lost", 2)


@pytest.mark.django_db
def test_what_nobody_knows_is_one_kind() -> None:
    make_job(task="gone.task", due=-2 * HOUR)
    ledger.reject(["probe.ok"], ["default"], HOUR)
    assert Job.objects.get().signature.startswith("no worker knows this task")


@pytest.mark.django_db
def test_groups_are_counted_with_their_first_and_last_and_tasks(django_assert_num_queries) -> None:
    for task in ("probe.ok", "probe.fail", "probe.fail"):
        make_job("failed", task=task, signature="Flaky: <n>")
    make_job("failed", signature="Other")
    make_job("succeeded")
    with django_assert_num_queries(1):
        flaky, other = errors.groups(Job.objects.all()).found
    assert (flaky.count, sorted(flaky.tasks), other.count) == (3, ["probe.fail", "probe.ok"], 1)
    assert flaky.first and flaky.last and flaky.first <= flaky.last


@pytest.mark.django_db
def test_of_more_failed_jobs_than_are_counted_the_newest_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.listing.MOST", 3)
    make_job("failed", signature="Old")
    for _ in range(3):
        make_job("failed", signature="New")
    groups = errors.groups(Job.objects.all())
    assert ([(one.signature, one.count) for one in groups.found], groups.more) == ([("New", 3)], True)
    Job.objects.filter(signature="Old").delete()
    assert not errors.groups(Job.objects.all()).more
