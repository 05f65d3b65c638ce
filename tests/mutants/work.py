"""In the worker: heartbeats and outcomes."""

from tests.mutants.mutant import mutant

LEASES = "tests/jobs/test_leases.py::"
VERBS, DURABLE, OUTCOMES, RESULTS = (
    f"tests/jobs/test_{name}.py::" for name in ("ledger", "durable", "outcomes", "results")
)
ARGUMENTS = "tests/jobs/test_arguments.py::"
RACES = "tests/jobs/test_interleavings.py::"
HOLDING = "tests/jobs/test_holding.py::"
SAID = "tests/jobs/test_running.py::"

HOLD = [
    mutant(
        "beat: for another worker's job",
        "jobs/holding.py:beat",
        ", worker=worker)",
        ")",
        f"{LEASES}test_another_workers_heartbeat_does_not_extend_a_lease",
    ),
    mutant(
        "beat: for a job that is over",
        "jobs/holding.py:beat",
        "in_state(S.RUNNING), ",
        "",
        f"{HOLDING}test_a_heartbeat_gives_no_lease_to_a_job_that_does_not_run",
    ),
    mutant(
        "beat: locks in any order",
        "jobs/holding.py:beat",
        'lock(Job.objects.filter(in_state(S.RUNNING), pk__among=held, worker=worker).order_by("pk"), wait=True)',
        "Job.objects.filter(in_state(S.RUNNING), pk__among=held, worker=worker)",
        f"{RACES}test_verbs_on_many_rows_at_once_do_not_deadlock[cancel-beat]",
    ),
    mutant(
        "tell: over the next attempt",
        "jobs/holding.py:tell",
        "token=job.token, ",
        "",
        f"{HOLDING}test_a_worker_that_lost_its_job_writes_nothing_over_the_next_attempts_checkpoint",
    ),
    mutant(
        "tell: after the end",
        "jobs/holding.py:tell",
        ", state=S.RUNNING).update",
        ").update",
        f"{HOLDING}test_nothing_is_told_of_a_job_that_does_not_run",
    ),
    mutant(
        "asked to stop: all of them",
        "jobs/holding.py:asked_to_stop",
        ", cancel_requested=True)",
        ")",
        f"{HOLDING}test_only_who_was_asked_to_stop_is_asked",
    ),
    mutant(
        "heartbeat: a forked child believes that it beats",
        "jobs/heartbeat.py:Heartbeat.holding",
        "if self._pid != os.getpid():",
        "if self._pid == 0:",
        f"{HOLDING}test_a_forked_child_holds_nothing_of_its_parents",
    ),
    mutant(
        "heartbeat: ends with the first error",
        "jobs/heartbeat.py:Heartbeat._beat",
        "except Error as exc:",
        "except ZeroDivisionError as exc:",
        f"{HOLDING}test_a_heartbeat_survives_a_database_that_is_away",
    ),
    mutant(
        "heartbeat: beats for what is finished",
        "jobs/heartbeat.py:Heartbeat.holding",
        "self._held -= mine",
        "pass",
        f"{HOLDING}test_a_heartbeat_is_for_what_the_process_holds_and_no_longer",
    ),
]

RUN = [
    mutant(
        "executor: runs what it could not claim",
        "jobs/executor.py:Nudged.__call__",
        "claimed = _claim([uuid])",
        "claimed = _claim([uuid]) or list(Job.objects.filter(pk=uuid))",
        f"{DURABLE}test_a_second_message_for_a_job_is_dropped",
        f"{DURABLE}test_a_cancelled_job_does_not_run_though_its_message_is_out",
    ),
    mutant(
        "executor: arguments of an older version as they are",
        "jobs/executor.py:_trace",
        "if job.version < task.version:",
        "if False:",
        f"{ARGUMENTS}test_arguments_of_an_older_version_are_brought_up_to_date",
    ),
    mutant(
        "executor: arguments of a newer version as they are",
        "jobs/executor.py:_trace",
        "if job.version > task.version:",
        "if False:",
        f"{ARGUMENTS}test_arguments_of_a_newer_version_are_left_to_a_worker_that_knows_them",
    ),
    mutant(
        "executor: runs a message that has no row",
        "jobs/executor.py:Nudged.__call__",
        "if NUDGE not in request:",
        "if False:",
        f"{DURABLE}test_a_message_that_was_sent_past_apply_async_becomes_a_row",
    ),
    mutant(
        "executor: a stop is not noticed before a job of a batch",
        "jobs/executor.py:_Message._run",
        "if heartbeat.asked_to_stop(job):",
        "if False:",
        f"{HOLDING}test_a_job_of_a_batch_that_was_cancelled_meanwhile_does_not_start",
    ),
    mutant(
        "executor: an error of the claim ends the worker's message",
        "jobs/executor.py:_claim",
        "except Error as exc:",
        "except ZeroDivisionError as exc:",
        f"{OUTCOMES}test_a_claim_that_the_database_did_not_answer_is_found_by_the_rescuer",
    ),
    mutant(
        "insist: gives up at once",
        "jobs/recorder.py:insist",
        "range(TRIES)",
        "range(1)",
        f"{DURABLE}test_an_outcome_that_the_database_would_not_take_is_recorded_when_it_does",
        "tests/notifications/test_email_accidents.py::test_what_the_server_took_is_sent_although_the_database_hiccups",
    ),
    mutant(
        "insist: a database that is read-only for a moment refuses the outcome",
        "jobs/recorder.py:insist",
        "except connections.AWAY as exc:",
        "except connections.AWAY[:2] as exc:",
        f"{OUTCOMES}test_an_outcome_waits_for_a_database_that_is_read_only_between_two_primaries",
    ),
    mutant(
        "result: whatever is empty passes for JSON",
        "jobs/payload.py:storable",
        "type(value) in PLAIN and not value",
        "not value",
        "tests/jobs/test_odd_results.py::test_it_costs_the_others_of_its_message_nothing",
    ),
    mutant(
        "progress: ends the job when the database is away",
        "jobs/running.py:Running._write",
        "except connections.AWAY as exc:",
        "except ZeroDivisionError as exc:",
        f"{SAID}test_a_job_whose_last_progress_cannot_be_written_has_succeeded_all_the_same",
    ),
    mutant(
        "progress: holds the row until the body's transaction ends",
        "jobs/running.py:Running._write",
        "if _depth() > self._depth:",
        "if False:",
        f"{SAID}test_what_an_atomic_job_said_before_it_failed_is_kept",
    ),
    mutant(
        "executor: fails what is done and has a next step to store",
        "jobs/executor.py:_trace",
        'verdict.verb = "rescue"',
        "pass",
        f"{SAID}test_a_job_whose_next_step_could_not_be_stored_is_tried_again_and_not_failed",
    ),
    mutant(
        "record: an outcome that cannot be stored leaves it running",
        "jobs/recorder.py:record",
        'return "give_up" if insist(partial(ledger.give_up, verdict.job, plain)) else "late"',
        'return "late"',
        f"{OUTCOMES}test_an_outcome_that_the_database_refuses_ends_the_job",
    ),
    mutant(
        "record: one bad result takes its neighbours along",
        "jobs/recorder.py:Recorder.flush",
        "for verdict in some:  # find the one that the database refuses\n                    record(verdict)",
        "pass",
        f"{OUTCOMES}test_one_result_that_the_database_refuses_does_not_cost_its_neighbours_theirs",
    ),
    mutant(
        "record: a job that stops unasked stays",
        "jobs/recorder.py:_write",
        'if verdict.verb == "stop" and ledger.stop(job, attempt):\n        return True',
        'if verdict.verb == "stop":\n        return ledger.stop(job, attempt)',
        f"{OUTCOMES}test_a_job_that_stops_without_being_asked_ends",
    ),
    mutant(
        "result: told by the parent of the pool",
        "jobs/results.py:LedgerBackend.store_result",
        "if _is_job(request):",
        "if False:",
        f"{RESULTS}test_what_the_parent_of_the_pool_says_of_a_job_is_not_kept",
    ),
]

MUTANTS = [*HOLD, *RUN]
