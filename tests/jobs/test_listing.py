"""The list of jobs: each filter finds its own, each search its own, and paging shows every row once."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from jobs import listing
from jobs.listing import Page, Selection
from jobs.models import Job
from tests.factories import DAY, HOUR, alice, bob, make_booking, make_job, make_payment

pytestmark = pytest.mark.django_db


def ids(page: Page) -> list[UUID]:
    return [job.pk for job in page.jobs]


def find(**chosen: Any) -> list[UUID]:
    return ids(listing.page(Selection(**chosen), Job.objects.all(), 50))


def jobs_of(anchor: Any) -> set[UUID]:
    """Some deliveries were skipped when they were planned: those have none."""
    return set(Job.objects.filter(pk__in=anchor.deliveries.values("pk")).values_list("pk", flat=True))


def walk(selection: Selection, size: int) -> list[UUID]:
    """All pages forward; and the same ones back."""
    page = listing.page(selection, Job.objects.all(), size)
    pages = [page]
    while page.after:
        page = listing.page(selection, Job.objects.all(), size, after=page.after)
        pages.append(page)
    for earlier in reversed(pages[:-1]):
        page = listing.page(selection, Job.objects.all(), size, before=page.before)
        assert ids(page) == ids(earlier)
    assert page.before == ""
    return [pk for one in pages for pk in ids(one)]


@pytest.mark.parametrize("chosen", [{}, {"run_from": timezone.now() - DAY}, {"state": "overdue"}])
def test_paging_shows_each_row_once_forward_and_back(chosen: dict[str, Any]) -> None:
    same = timezone.now() - HOUR
    jobs = [make_job(run_at=same if n % 3 else same - timedelta(minutes=n)) for n in range(11)]
    selection = Selection(**chosen)
    order = (lambda job: (job.run_at, job.pk)) if selection.by_time else (lambda job: job.pk)
    expected = [job.pk for job in sorted(jobs, key=order, reverse=not selection.by_time)]
    assert walk(selection, 4) == expected
    assert walk(selection, 11) == expected


def test_rows_that_come_meanwhile_move_nothing_on_later_pages() -> None:
    for _ in range(6):
        make_job()
    first = listing.page(Selection(), Job.objects.all(), 3)
    make_job()
    second = listing.page(Selection(), Job.objects.all(), 3, after=first.after)
    assert not set(ids(first)) & set(ids(second)) and len(second.jobs) == 3


def test_a_cursor_that_is_none_is_refused() -> None:
    for selection in (Selection(), Selection(state="overdue")):
        with pytest.raises(ValueError):
            listing.page(selection, Job.objects.all(), 3, after="yesterday")


def test_each_filter_finds_its_own() -> None:
    plain = make_job(due=DAY)
    fields = {"tenant": "practice 7", "queue": "messages", "task": "probe.fail", "correlation_id": "visit:1"}
    other = make_job("failed", signature="Flaky: <n>", due=-DAY, **fields)
    for chosen in ({"queue": "messages"}, {"task": "probe.fail"}, {"tenant": "practice 7"}, {"tag": "visit:1"}):
        assert find(**chosen) == [other.pk]
    assert find(state="failed") == find(signature="Flaky: <n>") == find(run_until=timezone.now()) == [other.pk]
    assert find(run_from=timezone.now()) == find(ids=[plain.pk]) == [plain.pk]
    assert find(state="failed", queue="default") == []


def test_overdue_and_tried_again_are_no_states_of_their_own() -> None:
    late, later, again = make_job(), make_job(due=DAY), make_job(failures=2, due=DAY)
    make_job("running", failures=1)
    assert find(state="overdue") == [late.pk]
    assert find(state="retrying") == [again.pk]
    assert set(find(state="scheduled")) == {late.pk, later.pk, again.pk}


def test_a_search_finds_by_id_key_and_tag() -> None:
    job = make_job(unique_key="invoice 7", correlation_id="visit:1")
    make_job()
    assert find(search=str(job.pk)) == find(search="invoice 7") == find(search=" visit:1 ") == [job.pk]
    assert find(search="nothing of the kind") == []


def test_a_search_finds_the_jobs_of_a_booking_and_of_a_customer() -> None:
    first, other = alice(external_id="C-1"), bob()
    booking = make_booking(first, external_id="B-17")
    make_booking(other)
    payment = make_payment(other, external_id="P-9")
    mine = jobs_of(booking)
    assert mine
    for term in ("B-17", str(booking.pk), f"booking:{booking.pk}", "alice@example.com", "ALICE@EXAMPLE.COM", "C-1"):
        assert set(find(search=term)) == mine, term
    assert set(find(search="Alice Ähre")) == mine and find(search="Alice") == []
    assert set(find(search="P-9")) == jobs_of(payment)


def test_a_search_takes_the_same_queries_whatever_it_finds(django_assert_max_num_queries) -> None:
    booking = make_booking(alice())
    for term in (str(booking.pk), "alice@example.com", "nothing"):
        with django_assert_max_num_queries(9):
            find(search=term)
