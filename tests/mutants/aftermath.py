"""After the work: groups, chains, schedules, keys."""

from tests.mutants.mutant import Cut, mutant

CANVAS, BATCHES, PRUNER, SCHEDULES = (
    f"tests/jobs/test_{name}.py::" for name in ("canvas", "batches", "pruner", "schedules")
)
ACTORS = "tests/jobs/test_actor_interleavings.py::"

AFTER = [
    mutant(
        "chain: a rerun forks it",
        "jobs/canvas.py:links",
        'one.freeze(str(uuid.uuid5(pk, f"{name}:{position}")))',
        "one.options.pop('task_id', None)",
        f"{CANVAS}test_a_chain_does_not_fork_when_its_worker_dies_between_the_next_step_and_its_own_success",
        f"{CANVAS}test_a_callback_is_called_once_though_its_parent_ran_twice",
    ),
    mutant(
        "errback: of an attempt that is tried again",
        "jobs/canvas.py:call_errbacks",
        "if job.state == Job.State.FAILED]",
        "]",
        f"{CANVAS}test_an_attempt_that_is_tried_again_calls_no_errback",
    ),
    mutant(
        "group: two that look end it twice",
        "jobs/groups.py:_open",
        "Group.objects.select_for_update().filter",
        "Group.objects.filter",
        f"{ACTORS}test_two_that_settle_one_group_call_its_end_once",
    ),
    mutant(
        "group: ended again",
        "jobs/groups.py:_open",
        "finished_at__isnull=True, ",
        "",
        f"{BATCHES}test_its_callbacks_are_called_once_each_with_its_id",
    ),
    mutant(
        "group: ended while its members are being inserted",
        "jobs/groups.py:_open",
        ", size__isnull=False)",
        ")",
        f"{CANVAS}test_a_group_is_not_over_before_it_is_known_how_large_it_is",
    ),
    mutant(
        "group: on_failed at each failure",
        "jobs/groups.py:_end_batch",
        "bad and group.failed_at is None",
        "bad",
        f"{BATCHES}test_its_callbacks_are_called_once_each_with_its_id",
    ),
    mutant(
        "group: nobody looks again",
        "jobs/rescuer.py:rescue_lost",
        "settled=groups.sweep(LIMIT)",
        "settled=0",
        f"{CANVAS}test_a_body_whose_settler_died_is_found_by_the_rescuer",
    ),
    mutant(
        "occurrence: without a key",
        "jobs/schedules.py:Scheduler._store",
        "unique_key=key, ",
        "",
        f"{SCHEDULES}test_beats_that_hear_nothing_of_each_other_make_one_job_each_time",
        f"{SCHEDULES}test_a_beat_that_was_killed_between_the_job_and_its_note_makes_no_second_job",
    ),
    mutant(
        "occurrence: counted from the last run",
        "jobs/schedules.py:rule_of",
        "start or EPOCH",
        "start or datetime.now(UTC)",
        f"{SCHEDULES}test_intervals_are_counted_from_a_fixed_moment_and_not_from_the_last_run",
    ),
    mutant(
        "occurrence: forgotten when the database was away",
        "jobs/schedules.py:Scheduler.apply_async",
        "entry.take_back()",
        "pass",
        f"{SCHEDULES}test_what_the_database_did_not_take_is_tried_again",
    ),
    mutant(
        "prune: what a group waits for",
        "jobs/pruner.py:_over",
        "~Exists(AWAITED),",
        "",
        "tests/jobs/test_pruned_groups.py::test_a_chord_that_waits_for_three_weeks_is_called_with_all_results",
    ),
    mutant(
        "prune: what is not over",
        "jobs/pruner.py:_over",
        "Job.objects.finished().filter",
        "Job.objects.filter",
        f"{PRUNER}test_an_unfinished_job_is_never_deleted_however_old",
    ),
    mutant(
        "prune: failed jobs by number",
        "jobs/pruner.py:_surplus",
        "if state == Job.State.FAILED:",
        "if False:",
        f"{PRUNER}test_failed_jobs_know_no_count",
    ),
    mutant(
        "prune: before its days are over",
        "jobs/pruner.py:_aged",
        "max(days, 0)",
        "0",
        f"{PRUNER}test_a_finished_job_is_deleted_after_its_days_and_not_before",
    ),
    mutant(
        "prune: into the future",
        "jobs/pruner.py:_aged",
        "max(days, 0)",
        "days",
        f"{PRUNER}test_days_below_zero_do_not_reach_into_the_future",
    ),
    mutant(
        "prune: what somebody runs again at this moment",
        "jobs/pruner.py:drop",
        ".select_for_update(skip_locked=True)",
        "",
        f"{PRUNER}test_a_row_that_somebody_else_is_changing_is_left_for_the_next_time",
    ),
    mutant(
        "prune: the key goes too",
        "jobs/pruner.py:drop",
        "keys.keep(chosen)",
        "pass",
        f"{PRUNER}test_the_second_call_after_the_first_job_was_deleted_is_still_the_first",
        f"{SCHEDULES}test_a_beat_that_wakes_after_the_job_was_deleted_makes_no_second_job",
    ),
    mutant(
        "prune: the id of what was imported goes too",
        "jobs/pruner.py:drop",
        "keys.keep_imported(chosen)",
        "pass",
        "tests/jobs/test_transfer_files.py::test_a_job_that_was_imported_and_deleted_is_not_made_again_until_its_name_is_forgotten",
    ),
    mutant(
        "prune: the job first, its key in another transaction",
        Cut("jobs/pruner.py:drop", "with transaction.atomic():", "if True:"),
        Cut(
            "jobs/pruner.py:drop",
            "keys.keep(chosen)",
            '_delete_by_id(Job.objects.only("pk"), [pk for pk, *_ in chosen])\n        keys.keep(chosen)',
        ),
        f"{PRUNER}test_a_job_whose_key_cannot_be_kept_is_not_deleted",
    ),
    mutant(
        "keys: takes back a job that has run",
        "jobs/keys.py:withdraw_spent",
        ", state=Job.State.SCHEDULED, token=0)",
        ")",
        f"{PRUNER}test_a_spent_key_takes_nothing_back_that_has_run",
    ),
    mutant(
        "keys: kept for ever, or not at all",
        "jobs/pruner.py:prune",
        "pruned_at__lt=at - timedelta(days=settings.JOBS_KEEP_KEYS_DAYS)",
        "",
        f"{PRUNER}test_a_key_is_free_again_after_a_long_time",
    ),
]

MUTANTS = [*AFTER]
