"""The verbs that end an attempt, by its worker or for it: what beside the state has to hold for each."""

from tests.mutants.ledger import second
from tests.mutants.mutant import Cut, mutant

CANCELS = "tests/jobs/test_cancels.py::"
CHOSEN = "tests/jobs/test_choosing.py::"
LEASES = "tests/jobs/test_leases.py::"
LEDGER, TABLE = "jobs/ledger.py", "jobs/transitions.py"
VERBS, RACES = "tests/jobs/test_ledger.py::", "tests/jobs/test_interleavings.py::"
MEANWHILE = "tests/notifications/test_meanwhile.py::"

END = [
    mutant(
        "finish: by whoever ever held the job",
        f"{LEDGER}:_held",
        "pk=job.pk, token=job.token",
        "pk=job.pk",
        f"{VERBS}test_a_late_finisher_cannot_overwrite_the_next_attempt",
        "tests/notifications/test_reminders.py::test_a_worker_that_lost_its_job_does_not_send",
    ),
    mutant(
        "succeed many: by whoever ever held them",
        f"{LEDGER}:succeed_many",
        "Job.objects.filter(token=token, ",
        "Job.objects.filter(",
        f"{VERBS}test_a_late_finisher_of_many_overwrites_none",
    ),
    mutant(
        "holds: though a cancel was asked for",
        f"{LEDGER}:holds",
        "cancel_requested=False, ",
        "",
        "tests/notifications/test_reminders.py::test_a_job_cancelled_while_it_runs_does_not_send_and_ends_as_cancelled",
    ),
    mutant(
        "holds: though the job has ended",
        f"{LEDGER}:holds",
        "state=S.RUNNING, cancel_requested=False, lease_until__gt=Now() + lasting",
        "cancel_requested=False",
        f"{MEANWHILE}test_the_fence_is_shut_to_a_worker_whose_job_was_taken_away[cancelled]",
    ),
    mutant(
        "holds: though the lease is nearly over",
        f"{LEDGER}:holds",
        ", lease_until__gt=Now() + lasting",
        "",
        f"{MEANWHILE}test_a_worker_whose_lease_is_nearly_over_does_not_begin",
    ),
    mutant(
        "back off: over a cancel",
        f"{LEDGER}:back_off",
        "mine.filter(cancel_requested=False)",
        "mine",
        f"{CANCELS}test_a_cancel_of_a_running_job_says_in_flight_and_wins_over_a_retry",
        second("running", "cancel", "back_off"),
        f"{RACES}test_nothing_slips_through_between_the_two_statements_of_a_cancel",
    ),
    mutant(
        "back off: a cancel leaves it running",
        f"{LEDGER}:back_off",
        " or _stop(mine)",
        "",
        f"{CANCELS}test_a_cancel_of_a_running_job_says_in_flight_and_wins_over_a_retry",
    ),
    mutant(
        "snooze: over a cancel",
        f"{LEDGER}:snooze",
        "mine.filter(cancel_requested=False)",
        "mine",
        f"{CANCELS}test_a_cancel_wins_over_a_snooze",
    ),
    mutant(
        "snooze: a cancel leaves it running",
        f"{LEDGER}:snooze",
        " or _stop(mine)",
        "",
        f"{CANCELS}test_a_cancel_wins_over_a_snooze",
    ),
    mutant(
        "back off: not counted",
        f"{LEDGER}:back_off",
        '"failures": F("failures") + 1, ',
        "",
        "tests/jobs/test_durable.py::test_autoretry_backs_off_exponentially_in_the_row_and_gives_up",
    ),
    mutant(
        "stop: without having been asked",
        f"{LEDGER}:_stop",
        "rows.filter(cancel_requested=True)",
        "rows",
        f"{CANCELS}test_a_job_stops_only_if_it_was_asked_to",
    ),
    mutant(
        "back off: between a cancel and its withdrawal the job is lost",
        f"{LEDGER}:back_off",
        "mine = lock_first(_held(job))",
        "mine = lock(_held(job), wait=True)",
        second("asked to stop", "retry", "back_off"),
    ),
    mutant(
        "give back: over a cancel",
        f"{LEDGER}:give_back",
        "mine.filter(cancel_requested=False)",
        "mine",
        f"{VERBS}test_a_job_that_was_asked_to_stop_is_not_tried_again_when_its_process_dies",
    ),
    mutant(
        "give back: what another holds by now",
        f"{LEDGER}:give_back",
        "lock_first(_held(seen))",
        "lock_first(Job.objects.filter(pk=seen.pk))",
        f"{VERBS}test_the_next_attempt_is_not_taken_from_its_holder_because_the_last_one_died",
    ),
    mutant(
        "outcome and its story in two transactions",
        f"{LEDGER}:back_off",
        "with transaction.atomic():",
        "if True:",
        f"{VERBS}test_an_outcome_whose_story_cannot_be_kept_is_not_written",
    ),
]

RESCUE = [
    mutant(
        "rescue: from a worker that beats",
        f"{LEDGER}:rescue",
        "lease_until=seen.lease_until, lease_until__lt=at",
        "state=S.RUNNING",
        f"{LEASES}test_a_worker_that_beats_keeps_its_job_from_the_rescuer",
    ),
    mutant(
        "rescue: by a lease seen before",
        f"{LEDGER}:rescue",
        "lease_until=seen.lease_until, lease_until__lt=at",
        "lease_until__lt=at",
        f"{LEASES}test_a_lease_that_was_prolonged_and_ran_out_again_is_not_the_one_that_was_seen",
    ),
    mutant(
        "rescue: while the lease runs",
        f"{LEDGER}:rescue",
        ", lease_until__lt=at)",
        ")",
        f"{LEASES}test_a_job_whose_lease_still_runs_is_not_rescued",
    ),
    mutant(
        "rescue: a row that somebody is changing",
        f"{LEDGER}:rescue",
        "lock_first(lost) if killed else lost & lock(lost)",
        "lost",
        second("running", "cancel", "rescue"),
    ),
    mutant(
        "rescue: a poison job for ever",
        f"{LEDGER}:rescue",
        "move(wanted.filter(again),",
        "move(wanted,",
        f"{LEASES}test_a_job_whose_worker_is_lost_too_often_fails_with_the_reason",
    ),
    mutant(
        "rescue: a lost worker is not counted",
        f"{LEDGER}:rescue",
        '{"failures": F("failures") + 1, "reason": reason}',
        '{"reason": reason}',
        f"{LEASES}test_two_rescuers_that_saw_the_same_row_rescue_it_once",
    ),
    mutant(
        "rescue: over a cancel",
        f"{LEDGER}:rescue",
        "wanted = lost.filter(cancel_requested=False)",
        "wanted = lost",
        f"{CANCELS}test_a_cancel_of_a_running_job_whose_worker_dies_is_not_forgotten",
    ),
    mutant(
        "rescue: a cancel leaves it running",
        f"{LEDGER}:rescue",
        "or _stop(lost)",
        "",
        f"{CANCELS}test_a_cancel_of_a_running_job_whose_worker_dies_is_not_forgotten",
    ),
    mutant(
        "rescue: by the clock of the rescuer's machine",
        f"{LEDGER}:rescue",
        "at = now or Now()",
        "at = now or datetime.now().astimezone()",
        "tests/jobs/test_whose_clock.py::test_a_rescuer_whose_clock_is_wrong_rescues_nobody",
    ),
    mutant(
        "rescuer: leaves running jobs whose lease runs",
        "jobs/rescuer.py:lost",
        ", lease_until__lt=now)",
        ")",
        "tests/jobs/test_rescuer.py::test_a_pass_looks_at_no_more_than_is_overdue",
    ),
    mutant(
        "rescuer: lost messages stay lost",
        "jobs/rescuer.py:rescue_lost",
        "released=ledger.release(overdue)",
        "released=0",
        "tests/jobs/test_durable.py::test_a_job_gone_missing_at_the_broker_is_sent_again",
    ),
    mutant(
        "rescuer: takes messages back that may still come",
        "jobs/rescuer.py:rescue_lost",
        "Job.objects.filter(lease_until__lt=at)",
        "Job.objects.all()",
        "tests/jobs/test_rescuer.py::test_a_pass_looks_at_no_more_than_is_overdue",
    ),
    mutant(
        "rescuer: believes a clock that jumped",
        "jobs/rescuer.py:rescue_lost",
        "if ticks.look().held_since:",
        "if False:",
        "tests/jobs/test_hold.py::test_nothing_is_sent_nor_rescued_while_the_clock_is_not_believed",
    ),
    mutant(
        "expire: what is still useful",
        f"{LEDGER}:expire",
        ", useful_until__lte=now or Now())",
        ")",
        f"{CHOSEN}test_what_is_still_useful_does_not_expire",
    ),
    mutant(
        "expire: what runs",
        Cut(f"{LEDGER}:expire", "indexed(S.SCHEDULED, S.QUEUED), ", ""),
        Cut(
            TABLE,
            '"expire": (frozenset({S.SCHEDULED, S.QUEUED})',
            '"expire": (frozenset({S.SCHEDULED, S.QUEUED, S.RUNNING})',
        ),
        f"{VERBS}test_what_runs_is_moved_by_its_worker_and_the_rescuer_alone",
    ),
    mutant(
        "reject: what has code",
        f"{LEDGER}:reject",
        "due.exclude(known)",
        "due",
        f"{CHOSEN}test_only_what_nobody_could_run_for_an_hour_is_rejected",
    ),
    mutant(
        "reject: during a rolling deploy",
        f"{LEDGER}:reject",
        ", run_at__lt=at - overdue)",
        ")",
        f"{CHOSEN}test_only_what_nobody_could_run_for_an_hour_is_rejected",
    ),
]

MUTANTS = [*END, *RESCUE]
