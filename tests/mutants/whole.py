"""What happens altogether or not at all, and in which order rows are locked."""

from tests.mutants.mutant import Cut, mutant

CANCELS = "tests/jobs/test_cancels.py::"
CHOSEN = "tests/jobs/test_choosing.py::"
LEDGER, ATOMIC, OUTCOMES = "jobs/ledger.py", "jobs/atomic.py", "notifications/outcomes.py"
DOUBTS, DIGESTS, RECONCILER = (f"notifications/{name}.py" for name in ("doubts", "digests", "reconciler"))
VERBS, RACES, ATOMICS, REVOKES = (
    f"tests/jobs/test_{name}.py::" for name in ("ledger", "interleavings", "atomic", "revoking")
)
GUARANTEED, RESOLVED, DIGESTED, NEXT, MEANWHILE, SENT = (
    f"tests/notifications/test_{name}.py::"
    for name in ("guarantees", "doubts", "digests", "fallbacks", "meanwhile", "reminders")
)
DEADLOCK = f"{RACES}test_verbs_on_many_rows_at_once_do_not_deadlock"
TWO_VERBS = f"{RACES}test_of_two_verbs_at_once_the_second_sees_what_the_first_did"
MOVED = f"{VERBS}test_a_job_that_is_moved_while_it_runs_comes_back_at_the_new_time_and_not_when_it_meant_to"

ORDER = [
    mutant(
        "claim: waits for whoever is changing one of many",
        f"{LEDGER}:claim_many",
        'move(lock(takeable.order_by("pk")),',
        "move(takeable,",
        f"{DEADLOCK}[cancel-claim]",
    ),
    mutant(
        "succeed many: locks in any order",
        f"{LEDGER}:succeed_many",
        'lock(mine.order_by("pk"), wait=True)',
        "mine",
        f"{DEADLOCK}[cancel-succeed]",
    ),
    mutant(
        "reschedule: locks in any order",
        f"{LEDGER}:reschedule",
        '.order_by("pk"))',
        ")",
        f"{DEADLOCK}[cancel-reschedule]",
    ),
    mutant(
        "retry: locks in any order",
        f"{LEDGER}:retry",
        '.order_by("pk"))',
        ")",
        f"{DEADLOCK}[retry-retry]",
    ),
    mutant(
        "rescue: passes by a process that is known to be gone",
        f"{LEDGER}:rescue",
        "lock_first(lost) if killed else lost & lock(lost)",
        "lost & lock(lost)",
        f"{TWO_VERBS}[running-cancel-bury]",
        f"{TWO_VERBS}[asked to stop-retry-bury]",
    ),
    mutant(
        "snooze: between a cancel and its withdrawal the job is lost",
        f"{LEDGER}:snooze",
        "mine = lock_first(_held(job))",
        "mine = lock(_held(job), wait=True)",
        f"{TWO_VERBS}[asked to stop-retry-snooze]",
    ),
    mutant(
        "give back: between a cancel and its withdrawal the job is lost",
        f"{LEDGER}:give_back",
        "mine = lock_first(_held(seen))",
        "mine = lock(_held(seen), wait=True)",
        f"{TWO_VERBS}[asked to stop-retry-give_back]",
    ),
    mutant(
        "digest: locks its parts in any order",
        "notifications/fence.py:_alone",
        "digests.lock(delivery)",
        "pass",
        f"{DIGESTED}test_a_digest_and_a_change_of_its_parts_do_not_deadlock",
    ),
]

MOVES = [
    mutant(
        "snooze: over a move",
        f"{LEDGER}:snooze",
        'Case(When(run_at__gt=F("started_at"), then=F("run_at")), default=later)',
        "later",
        MOVED,
    ),
    mutant(
        "snooze: a move before the attempt counts",
        f"{LEDGER}:snooze",
        'run_at__gt=F("started_at")',
        "run_at__isnull=False",
        f"{VERBS}test_a_job_that_was_moved_before_it_ran_may_snooze",
    ),
    mutant(
        "reschedule: a job that runs keeps its old time",
        f"{LEDGER}:reschedule",
        "rows.filter(state=S.RUNNING).update(**times_of)",
        "pass",
        MOVED,
    ),
]

WHOLE = [
    mutant(
        "cancel: the flag and the state in two transactions",
        f"{LEDGER}:cancel",
        "with transaction.atomic():",
        "if True:",
        f"{CANCELS}test_a_cancel_is_whole_or_not_at_all",
    ),
    mutant(
        "give up: its story in another transaction",
        f"{LEDGER}:give_up",
        "with transaction.atomic():",
        "if True:",
        f"{VERBS}test_an_outcome_whose_story_cannot_be_kept_is_not_written",
    ),
    mutant(
        "reject: its errbacks in another transaction",
        f"{LEDGER}:reject",
        "with transaction.atomic():",
        "if True:",
        f"{CHOSEN}test_a_rejected_job_whose_errback_cannot_be_stored_is_not_rejected_yet",
    ),
    mutant(
        "atomic: commits for a job that is another's by now",
        f"{ATOMIC}:end",
        "transaction.set_rollback(True)",
        "pass",
        f"{ATOMICS}test_a_job_that_was_given_to_another_worker_meanwhile_leaves_nothing",
    ),
    mutant(
        "atomic: a commit without an answer is a failure",
        f"{ATOMIC}:_settle",
        "if insist(mine.exists):",
        "if False:",
        f"{ATOMICS}test_a_commit_without_an_answer_is_settled_by_reading_the_row",
    ),
    mutant(
        "atomic: a commit without an answer is a success",
        f"{ATOMIC}:_settle",
        "if insist(mine.exists):",
        "if True:",
        f"{ATOMICS}test_a_commit_that_the_database_refuses_fails_the_job_with_the_reason",
    ),
    mutant(
        "replaced: its end without its successor",
        "jobs/replacing.py:hand_over",
        "with transaction.atomic():",
        "if True:",
        "tests/jobs/test_outcomes.py::test_a_job_whose_successor_cannot_be_stored_has_not_ended",
    ),
    mutant(
        "revoke: ends whatever runs",
        "jobs/revoking.py:end_jobs",
        ", state=Job.State.RUNNING, cancel_requested=True)",
        ")",
        f"{REVOKES}test_a_worker_ends_only_what_still_is_to_be_cancelled",
    ),
    mutant(
        "outcome: a refusal without its next channel",
        f"{OUTCOMES}:_end_and_go_on",
        "with transaction.atomic():",
        "if True:",
        f"{NEXT}test_a_refusal_whose_next_channel_cannot_be_planned_is_not_written",
    ),
    mutant(
        "outcome: another channel though the delivery is not ours",
        f"{OUTCOMES}:_end_and_go_on",
        "if not rows.update(**end):\n            return False",
        "rows.update(**end)",
        f"{NEXT}test_a_refusal_of_an_attempt_that_is_not_ours_plans_nothing",
    ),
    mutant(
        "outcome: another channel, and there is none",
        f"{OUTCOMES}:_end_and_go_on",
        "if only_if_next and following is None:",
        "if False:",
        f"{NEXT}test_where_no_other_channel_reaches_them_nothing_is_given_up",
    ),
    mutant(
        "outcome: what was answered stays a doubt",
        f"{OUTCOMES}:Intent._accepted",
        '"doubts": _without_mine(), ',
        "",
        f"{GUARANTEED}test_a_slow_worker_that_was_given_up_still_tells_what_it_knows",
    ),
    mutant(
        "outcome: what was given up and not taken has no job any more",
        f"{OUTCOMES}:Intent._put_back",
        "if given_up:",
        "if False:",
        f"{RESOLVED}test_what_was_given_up_and_turns_out_not_to_be_taken_gets_a_job_again",
    ),
    mutant(
        "outcome: another channel after a doubt",
        Cut(f"{OUTCOMES}:rerouted_unsent", ", doubts=0)", ")"),
        Cut("notifications/sending.py:_left_alone", "if not delivery.doubts and outcomes", "if outcomes"),
        f"{NEXT}test_but_not_after_a_doubt",
    ),
    mutant(
        "digest: takes along what is paid",
        f"{DIGESTS}:_may_go_along",
        "& _open_payment()",
        "",
        f"{DIGESTED}test_a_payment_paid_past_the_application_is_left_out_too",
    ),
    mutant(
        "digest: its parts are given back after a doubt",
        f"{OUTCOMES}:Intent._put_back",
        "if not self.delivery.doubts:",
        "if True:",
        f"{DIGESTED}test_after_a_doubt_a_busy_provider_gives_nothing_back",
    ),
    mutant(
        "digest: a part goes out while its digest is being sent",
        "notifications/sending.py:send",
        "if digest is not None and digest.state in (State.SENDING, State.PLANNED):",
        "if False:",
        f"{DIGESTED}test_a_part_waits_while_its_digest_is_being_sent",
    ),
    mutant(
        "doubt: sent again while its job still runs",
        f"{DOUBTS}:_resend",
        "if not ledger.retry([pk]):",
        "if not ledger.retry([pk]) and False:",
        f"{RESOLVED}test_what_is_decided_or_whose_job_still_runs_is_not_sent_again",
    ),
    mutant(
        "doubt: sent again after it was decided",
        f"{DOUBTS}:_resend",
        "pk=pk, state=State.IN_DOUBT",
        "pk=pk",
        f"{RESOLVED}test_what_is_decided_or_whose_job_still_runs_is_not_sent_again",
    ),
    mutant(
        "look-up: while the request may be under way",
        f"{DOUBTS}:look_up",
        ", intent_at__lt=over)",
        ")",
        f"{RESOLVED}test_a_provider_is_not_asked_while_the_request_may_be_under_way",
    ),
    mutant(
        "look-up: over a newer attempt",
        f"{DOUBTS}:_again",
        ", state=State.IN_DOUBT, token=delivery.token)",
        ")",
        f"{RESOLVED}test_a_look_up_does_not_judge_what_changed_while_it_asked",
    ),
    mutant(
        "withdraw: leaves the job",
        f"{RECONCILER}:withdraw",
        'orders.cancel(wanted, by=who, reason=f"withdrawn by {who}")',
        "pass",
        f"{SENT}test_what_a_person_withdrew_is_not_planned_again",
    ),
    mutant(
        "resend: before its time",
        f"{RECONCILER}:resend",
        ", send_at__lte=timezone.now())",
        ")",
        f"{SENT}test_what_is_not_yet_due_is_not_sent_again_before_its_time",
    ),
    mutant(
        "fence: a rule that is about something else",
        "notifications/fence.py:checks",
        ", anchor=delivery.rule.anchor)",
        ")",
        f"{MEANWHILE}test_what_changes_between_rendering_and_the_fence_is_not_sent[rule about something else]",
    ),
    mutant(
        "plan: beside a fallback that waits",
        "notifications/planning.py:_is_decided",
        " or delivery.fallback_of_id is not None",
        "",
        "tests/notifications/test_routes.py::"
        "test_planning_again_leaves_a_fallback_alone_whose_first_channel_would_be_good_again",
    ),
    mutant(
        "plan: by another channel, beside one that is being sent",
        "notifications/changes.py:Changes._unless_in_flight",
        "if all(other.pk in gone for other in self._instead_of.get(delivery.pk, ()))",
        "if True",
        "tests/notifications/test_routes.py::test_a_message_that_is_being_sent_is_not_sent_by_another_channel_as_well",
    ),
]

MUTANTS = [*ORDER, *MOVES, *WHOLE]
