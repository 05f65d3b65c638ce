"""/jobs: put one in, or many; list them, look at one, cancel it. The rows are the ledger's.

What else may be done with one is in `verbs`, with many in `orders`.
"""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field, StrictBool

from jobs import keys, ledger, orders, subject
from jobs.api import filters
from jobs.api.asked import Asked, WhyInQuery
from jobs.api.callers import Caller, caller, needs
from jobs.api.calls import Clock, JobCall, gathered, made
from jobs.api.paging import Cursor, Limit, Page
from jobs.api.problems import Problem, not_found
from jobs.api.shapes import HEAVY, JobDetail, JobOut, Receipt, detail, shown
from jobs.bulk import database_now
from jobs.models import Job

router = Router(tags=["jobs"])
MOST = 1_000  # jobs of one request
ROOT = "/api/v1/jobs"
Firsts = dict[tuple[str, str | None], tuple[UUID, bool]]  # by tenant and unique key


class Calls(Asked):
    jobs: list[JobCall] = Field(min_length=1, max_length=MOST)
    all_or_none: StrictBool = Field(False, description="true: one that is refused refuses all; false: the others go in")


class Refusal(Schema):
    status: int = Field(description="as if it had been sent alone", examples=[422])
    detail: str
    errors: list[dict[str, str]]


class BulkRow(Schema):
    index: int = Field(description="its place in the request, from 0")
    result: str = Field(description="created, existing (had the unique key before) or refused", examples=["created"])
    id: UUID | None = Field(description="null: refused")
    problem: Refusal | None


class BulkMade(Schema):
    created: int
    existing: int
    refused: int
    results: list[BulkRow] = Field(description="in the order of the request")


@router.post("", auth=needs("jobs:enqueue"), response={201: JobOut, 200: JobOut})
def create_job(request: HttpRequest, response: HttpResponse, call: JobCall) -> Any:
    """201 for a new job, 200 for the one that had the unique key. It is in the database; nothing is published here."""
    who = caller(request)
    job = made(call, who, Clock())
    kept = ledger.enqueue(job)
    if kept.pk != job.pk and not _within(who, kept):
        raise Problem(409, "unique_key: it belongs to a job that is not for this key. Take another.")
    response["Location"] = f"{ROOT}/{kept.pk}"
    return Status(201 if kept.pk == job.pk else 200, shown(kept))


@router.post("/bulk", auth=needs("jobs:enqueue"), response=BulkMade)
def create_jobs(request: HttpRequest, calls: Calls) -> Any:
    """Up to 1,000 jobs, of the same kind or of many, with a result for each.

    Unless all_or_none is set, what is refused leaves the others alone. A few statements, however many jobs.
    """
    who, clock = caller(request), Clock(database_now())
    rows: list[Job | Problem] = []
    known = gathered(calls.jobs, who)
    for n, call in enumerate(calls.jobs):
        try:
            rows.append(made(call, who, clock, known))
        except Problem as problem:
            if calls.all_or_none:
                raise _at(n, problem) from problem
            rows.append(problem)
    jobs = [row for row in rows if isinstance(row, Job)]
    with transaction.atomic():
        ledger.enqueue_many(jobs)
        first = _first_with_keys(jobs, who)
    results = [_result(n, row, first) for n, row in enumerate(rows)]
    if calls.all_or_none and (bad := next((one for one in results if one["problem"]), None)):
        raise Problem(bad["problem"]["status"], f"jobs.{bad['index']}: {bad['problem']['detail']}")
    keyed = [row.unique_key is not None if isinstance(row, Job) else False for row in rows]
    subject.makes([one["id"] for one, has_key in zip(results, keyed, strict=True) if has_key and one["id"]])
    told = [one["result"] for one in results]
    return {"results": results} | {word: told.count(word) for word in ("created", "existing", "refused")}


@router.get("", auth=needs("jobs:read"), response=Page[JobOut])
def list_jobs(request: HttpRequest, which: Query[filters.ListFilter], limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Newest first; by time of what is waiting, delayed or overdue, and where run_from or run_until is said."""
    who = caller(request)
    return filters.page(which.selection(who), who.jobs().defer(*HEAVY), limit, cursor)


@router.get("/{uuid:job_id}", auth=needs("jobs:read"), response=JobDetail)
def get_job(request: HttpRequest, job_id: UUID) -> Any:
    """With its attempts and who asked what of it; arguments and results only with the scope jobs:reveal."""
    who = caller(request)
    return detail(one_of(who, job_id), reveal=who.may("jobs:reveal"))


@router.delete("/{uuid:job_id}", auth=needs("jobs:cancel"), response=Receipt)
def cancel_job(request: HttpRequest, job_id: UUID, why: Query[WhyInQuery]) -> Any:
    """Answers with a receipt, whatever state it is in. The row stays, as cancelled."""
    who = caller(request)
    one_of(who, job_id)
    receipts = orders.cancel([job_id], by=who.name, reason=why.reason)
    state, finished_at = Job.objects.values_list("state", "finished_at").get(pk=job_id)
    return {"id": job_id, "receipt": receipts[job_id], "state": state, "finished_at": finished_at}


def one_of(who: Caller, pk: UUID) -> Job:
    """The job, if it is within the caller's reach. Raises Problem 404."""
    job: Job | None = who.jobs().filter(pk=pk).first()
    if job is None:
        raise not_found("job")
    return job


def _within(who: Caller, job: Job) -> bool:
    """Of a deleted job only its key, its id and its end are left, and those are its tenant's."""
    deleted = job._state.adding
    return deleted or (who.may_call(job.task) and who.scope.holds(job.queue, job.tenant))


def _at(index: int, problem: Problem) -> Problem:
    errors = [{**one, "field": f"jobs.{index}.{one['field']}"} for one in problem.more.get("errors", ())]
    said: dict[str, Any] = {"errors": errors} if errors else {}
    return Problem(problem.status, f"jobs.{index}: {problem.detail}", **said)


def _first_with_keys(jobs: list[Job], who: Caller) -> Firsts:
    """For each tenant and unique key the id of the first job with it, and whether the caller may know it."""
    names = [(job.tenant, job.unique_key) for job in jobs if job.unique_key is not None]
    if not names:
        return {}
    there = Job.objects.filter(unique_key__in=[key for _tenant, key in names])
    there = there.only("id", "unique_key", "task", "queue", "tenant")
    deleted: Firsts = {name: (pk, True) for name, pk in keys.spent(names).items()}
    return deleted | {(job.tenant, job.unique_key): (job.pk, _within(who, job)) for job in there}


def _result(index: int, row: "Job | Problem", first: Firsts) -> dict[str, Any]:
    if isinstance(row, Problem):
        return _refused(index, row)
    pk, within = first.get((row.tenant, row.unique_key), (row.pk, True))
    if not within:
        return _refused(index, Problem(409, "unique_key: it belongs to a job that is not for this key. Take another."))
    return {"index": index, "result": "created" if pk == row.pk else "existing", "id": pk, "problem": None}


def _refused(index: int, problem: Problem) -> dict[str, Any]:
    told = {"status": problem.status, "detail": problem.detail, "errors": problem.more.get("errors", [])}
    return {"index": index, "result": "refused", "id": None, "problem": told}
