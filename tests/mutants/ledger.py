"""The verbs: what beside the state has to hold for a job to be moved, begun and sent."""

from tests.mutants.mutant import Cut, mutant

CHOSEN = "tests/jobs/test_choosing.py::"
ENQUEUED = "tests/jobs/test_enqueueing.py::"
LEASES = "tests/jobs/test_leases.py::"
LEDGER, TABLE = "jobs/ledger.py", "jobs/transitions.py"
VERBS, RACES = "tests/jobs/test_ledger.py::", "tests/jobs/test_interleavings.py::"
TWO_VERBS = RACES + "test_of_two_verbs_at_once_the_second_sees_what_the_first_did"
SOURCES = VERBS + "test_a_verb_moves_a_job_from_its_source_states_and_from_no_other"


def second(state: str, first: str, then: str) -> str:
    """The interleaving of two verbs on a job in that state."""
    return f"{TWO_VERBS}[{state}-{first}-{then}]"


STATES = [
    mutant(
        "move: from whatever state",
        f"{TABLE}:_compiler",
        "rows.filter(in_state(*sources))",
        "rows",
        SOURCES,
        TWO_VERBS,
    ),
    mutant(
        "claim: what another worker runs",
        Cut(
            TABLE,
            '"claim": (frozenset({S.QUEUED}), S.RUNNING)',
            '"claim": (frozenset({S.QUEUED, S.RUNNING}), S.RUNNING)',
        ),
        Cut(f"{LEDGER}:claim_many", "useful, in_state(S.QUEUED), pk__among", "useful, pk__among"),
        f"{LEASES}test_a_job_is_claimed_once",
        second("queued", "claim", "claim"),
    ),
    mutant(
        "lock: waits where it should pass by",
        f"{TABLE}:lock",
        "skip_locked=not wait",
        "skip_locked=False",
        f"{RACES}test_two_dispatchers_share_the_work_without_waiting_for_each_other",
    ),
    mutant(
        "lock: passes by where it should wait",
        f"{TABLE}:lock",
        "skip_locked=not wait",
        "skip_locked=True",
        TWO_VERBS,
    ),
    mutant(
        "lock: no lock",
        f"{TABLE}:lock",
        "rows.select_for_update(skip_locked=not wait).values",
        "rows.values",
        f"{RACES}test_two_dispatchers_share_the_work_without_waiting_for_each_other",
        f"{RACES}test_verbs_on_many_rows_at_once_do_not_deadlock",
    ),
    mutant(
        "lock: more than asked for",
        f"{TABLE}:lock",
        "[:limit]",
        "",
        f"{CHOSEN}test_the_window_bounds_how_many_are_queued_and_the_urgent_go_first",
    ),
]

BEGIN = [
    mutant(
        "enqueue: an id or key that is taken",
        f"{LEDGER}:enqueue_many",
        ", ignore_conflicts=True",
        "",
        f"{ENQUEUED}test_a_unique_key_makes_the_second_call_return_the_first_job",
        f"{RACES}test_the_same_unique_key_twice_at_once_is_one_job",
        "tests/jobs/test_durable.py::test_the_same_task_id_names_the_same_job",
    ),
    mutant(
        "enqueue: answers with a job that is not there",
        f"{LEDGER}:enqueue",
        "same |= Q(unique_key=job.unique_key, tenant=job.tenant)",
        "pass",
        f"{ENQUEUED}test_a_unique_key_makes_the_second_call_return_the_first_job",
    ),
    mutant(
        "enqueue: answers with another tenant's job",
        f"{LEDGER}:enqueue",
        "unique_key=job.unique_key, tenant=job.tenant)",
        "unique_key=job.unique_key)",
        f"{ENQUEUED}test_a_unique_key_is_its_tenants_and_stops_no_other",
    ),
    mutant(
        "enqueue: a key that a deleted job of another tenant had",
        "jobs/keys.py:spent",
        "(tenant, key): pk for tenant, key, pk in rows if (tenant, key) in wanted",
        "(mine, key): pk for _tenant, key, pk in rows for mine in {job.tenant for job in jobs}",
        "tests/jobs/test_pruner.py::test_a_deleted_jobs_key_is_its_tenants_and_tells_another_nothing",
    ),
    mutant(
        "enqueue: a key that a deleted job had",
        f"{LEDGER}:enqueue_many",
        "keys.withdraw_spent(jobs)",
        "pass",
        "tests/jobs/test_pruner.py::test_the_second_call_after_the_first_job_was_deleted_is_still_the_first",
        "tests/jobs/test_pruner.py::test_a_key_is_looked_up_after_the_insert",
    ),
    mutant(
        "enqueue: keys looked at before the insert",
        f"{LEDGER}:enqueue_many",
        "Job.objects.bulk_create(jobs, batch_size=CHUNK, ignore_conflicts=True)\n        keys.withdraw_spent(jobs)",
        "keys.withdraw_spent(jobs)\n        Job.objects.bulk_create(jobs, batch_size=CHUNK, ignore_conflicts=True)",
        "tests/jobs/test_pruner.py::test_a_key_is_looked_up_after_the_insert",
    ),
    mutant(
        "enqueue: insert and look at the keys in two transactions",
        f"{LEDGER}:enqueue_many",
        "with transaction.atomic(savepoint=False):",
        "if True:",
        "tests/jobs/test_pruner.py::test_a_row_with_a_spent_key_is_never_seen_by_others",
    ),
    mutant(
        "dispatch: before its time",
        f"{LEDGER}:dispatch",
        ", run_at__lte=at",
        "",
        f"{CHOSEN}test_nothing_runs_before_its_time",
    ),
    mutant(
        "dispatch: by the clock of the worker's machine",
        f"{LEDGER}:dispatch",
        "at = now or Now()",
        "at = now or datetime.now().astimezone()",
        "tests/jobs/test_whose_clock.py::test_what_is_due_is_decided_by_the_database",
    ),
    mutant(
        "dispatch: from another queue",
        f"{LEDGER}:dispatch",
        ", queue=queue, ",
        ", ",
        f"{CHOSEN}test_a_dispatch_takes_nothing_that_it_was_not_asked_for[queue]",
    ),
    mutant(
        "dispatch: a task without code",
        f"{LEDGER}:dispatch",
        "due.filter(task__in=list(tasks)).order_by",
        "due.order_by",
        f"{CHOSEN}test_a_dispatch_takes_nothing_that_it_was_not_asked_for[task]",
    ),
    mutant(
        "dispatch: what is no longer useful",
        f"{LEDGER}:dispatch",
        "indexed(S.SCHEDULED), useful, queue",
        "indexed(S.SCHEDULED), queue",
        f"{CHOSEN}test_a_dispatch_takes_nothing_that_it_was_not_asked_for[useful_until]",
    ),
    mutant(
        "dispatch: a job with a cancel asked for",
        f"{LEDGER}:dispatch",
        "run_at__lte=at, cancel_requested=False)",
        "run_at__lte=at)",
        f"{CHOSEN}test_a_dispatch_takes_nothing_that_it_was_not_asked_for[cancel_requested]",
    ),
    mutant(
        "dispatch: others than were chosen",
        f"{LEDGER}:dispatch",
        "which or indexed(S.SCHEDULED)",
        "indexed(S.SCHEDULED)",
        f"{CHOSEN}test_of_the_due_jobs_only_those_that_were_chosen_go",
    ),
    mutant(
        "dispatch: forgets the broker's epoch",
        f"{LEDGER}:dispatch",
        ', "epoch": epoch}',
        "}",
        "tests/jobs/test_dispatcher.py::test_a_broker_that_lost_its_messages_gets_them_again_at_the_next_tick",
    ),
    mutant(
        "leases: a message is not believed longer each time",
        "jobs/leases.py:for_message",
        "LEASE * 2**sent",
        "LEASE",
        f"{LEASES}test_an_unclaimed_message_is_believed_twice_as_long_each_time",
    ),
    mutant(
        "dispatch: messages sent in vain are not counted",
        f"{LEDGER}:dispatch",
        ', "nudges": F("nudges") + 1',
        "",
        f"{LEASES}test_an_unclaimed_message_is_believed_twice_as_long_each_time",
    ),
    mutant(
        "release: what a worker has taken meanwhile",
        Cut(f"{LEDGER}:release", "HELD, in_state(S.QUEUED)", "HELD"),
        Cut(TABLE, '"release": (frozenset({S.QUEUED}),', '"release": (frozenset({S.QUEUED, S.RUNNING}),'),
        f"{VERBS}test_what_runs_is_moved_by_its_worker_and_the_rescuer_alone",
    ),
    mutant(
        "claim: what is no longer useful",
        f"{LEDGER}:claim_many",
        "Job.objects.filter(useful, ",
        "Job.objects.filter(",
        f"{CHOSEN}test_what_is_no_longer_useful_expires_and_is_not_claimed",
    ),
    mutant(
        "claim: a job with a cancel asked for",
        f"{LEDGER}:claim_many",
        ", cancel_requested=False)",
        ")",
        f"{LEASES}test_a_job_with_a_cancel_asked_for_is_not_claimed",
    ),
    mutant(
        "claim: the fence does not move",
        f"{LEDGER}:claim_many",
        '"token": F("token") + 1, ',
        "",
        f"{VERBS}test_a_late_finisher_cannot_overwrite_the_next_attempt",
    ),
    mutant(
        "claim: keeps the lease of the message",
        f"{LEDGER}:claim_many",
        ', "lease_until": at + LEASE}',
        "}",
        f"{LEASES}test_a_claim_begins_a_lease_and_forgets_the_messages_sent_in_vain",
    ),
    mutant(
        "claim: by the clock of the worker's machine",
        f"{LEDGER}:claim_many",
        "at = now or Now()",
        "at = now or datetime.now().astimezone()",
        "tests/jobs/test_whose_clock.py::test_a_lease_is_as_long_as_the_database_says",
    ),
    mutant(
        "claim: messages sent in vain count for ever",
        f"{LEDGER}:claim_many",
        '"nudges": 0, ',
        "",
        f"{LEASES}test_a_claim_begins_a_lease_and_forgets_the_messages_sent_in_vain",
    ),
]

MUTANTS = [*STATES, *BEGIN]
