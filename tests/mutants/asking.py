"""The verbs of people: what beside the state has to hold for each."""

from tests.mutants.ledger import second
from tests.mutants.mutant import mutant

CANCELS = "tests/jobs/test_cancels.py::"
LEDGER, TABLE = "jobs/ledger.py", "jobs/transitions.py"
VERBS, RACES = "tests/jobs/test_ledger.py::", "tests/jobs/test_interleavings.py::"

ASKED = [
    mutant(
        "cancel: the state before the flag",
        f"{LEDGER}:cancel",
        'lock(rows.unfinished().order_by("pk"), wait=True).update(cancel_requested=True)\n'
        '            cancelled = move(rows.filter(cancel_requested=True), "cancel", reason=reason, **over())',
        'cancelled = move(rows, "cancel", reason=reason, cancel_requested=True, **over())\n'
        "            rows.unfinished().update(cancel_requested=True)",
        f"{RACES}test_nothing_slips_through_between_the_two_statements_of_a_cancel",
    ),
    mutant(
        "cancel: no flag",
        f"{LEDGER}:cancel",
        ".update(cancel_requested=True)",
        '.update(cancel_requested=F("cancel_requested"))',
        f"{CANCELS}test_a_cancel_of_a_running_job_says_in_flight_and_wins_over_a_retry",
    ),
    mutant(
        "cancel: locks in any order",
        f"{LEDGER}:cancel",
        'lock(rows.unfinished().order_by("pk"), wait=True)',
        "rows.unfinished()",
        f"{RACES}test_verbs_on_many_rows_at_once_do_not_deadlock",
    ),
    mutant(
        "cancel: says cancelled of what runs",
        f"{LEDGER}:cancel",
        "Cancelled.CANCELLED if pk in done else still",
        "still if state in {S.SUCCEEDED, S.FAILED, S.EXPIRED} else Cancelled.CANCELLED",
        f"{CANCELS}test_a_cancel_of_a_running_job_says_in_flight_and_wins_over_a_retry",
        second("queued", "claim", "cancel"),
    ),
    mutant(
        "cancel: flags what is over",
        f"{LEDGER}:cancel",
        "rows.unfinished().order_by",
        "rows.order_by",
        f"{CANCELS}test_a_cancel_leaves_no_mark_on_what_was_over",
    ),
    mutant(
        "cancel: a second one takes a persons retry for its own",
        f"{LEDGER}:cancel",
        "move(rows.filter(cancel_requested=True), ",
        "move(rows, ",
        f"{RACES}test_a_retry_between_the_two_statements_of_a_cancel_stands",
    ),
    mutant(
        "reschedule: over a cancel",
        f"{LEDGER}:reschedule",
        "pk__among=some, cancel_requested=False",
        "pk__among=some",
        f"{CANCELS}test_a_job_with_a_cancel_asked_for_is_not_moved",
    ),
    mutant(
        "reschedule: what runs",
        TABLE,
        '"reschedule": (frozenset({S.SCHEDULED, S.QUEUED}), S.SCHEDULED)',
        '"reschedule": (frozenset({S.SCHEDULED, S.QUEUED, S.RUNNING}), S.SCHEDULED)',
        second("queued", "claim", "reschedule"),
    ),
    mutant(
        "retry: resets the fence",
        f"{LEDGER}:retry",
        '"failures": 0,',
        '"failures": 0, "token": 0,',
        f"{VERBS}test_a_persons_retry_resets_the_failures_but_never_the_fence",
    ),
    mutant(
        "retry: keeps the failures",
        f"{LEDGER}:retry",
        '"failures": 0,',
        "",
        f"{VERBS}test_a_persons_retry_resets_the_failures_but_never_the_fence",
    ),
    mutant(
        "retry: keeps the cancel",
        f"{LEDGER}:retry",
        '"cancel_requested": False, ',
        "",
        f"{VERBS}test_a_cancelled_job_runs_again_when_a_person_says_so",
    ),
    mutant(
        "retry: a job that still runs is stopped all the same",
        f"{LEDGER}:retry",
        "rows.filter(state=S.RUNNING).update(cancel_requested=False)",
        "pass",
        "tests/notifications/test_planner_interleavings.py::test_a_reminder_that_is_restored_while_its_job_still_runs_goes_out",
    ),
    mutant(
        "retry: of a job that is not over",
        TABLE,
        '"retry": (frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.EXPIRED}), S.SCHEDULED)',
        '"retry": (frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.EXPIRED, S.RUNNING}), S.SCHEDULED)',
        f"{VERBS}test_what_runs_is_moved_by_its_worker_and_the_rescuer_alone",
    ),
]

MUTANTS = [*ASKED]
