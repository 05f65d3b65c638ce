"""What became of a delivery: the answers of the provider, and what nobody knows."""

from tests.mutants.mutant import mutant

REPLIES = "tests/notifications/test_replies.py::"
OUTCOMES, SENDING = (f"notifications/{name}.py" for name in ("outcomes", "sending"))
GUARANTEES, FALLBACKS = (f"notifications/{name}.py" for name in ("guarantees", "fallbacks"))
DOUBTS, RECORD, CONSENT = (f"notifications/{name}.py" for name in ("doubts", "callbacks/record", "consent"))
MAILS = "tests/reports/test_mail_doubts.py::"
SENT, MEANWHILE, AT_ONCE, MAIL, ACCIDENTS = (
    f"tests/notifications/test_{name}.py::"
    for name in ("reminders", "meanwhile", "interleavings", "email", "email_accidents")
)
RESOLVED = "tests/notifications/test_doubts.py::"
TWICE = "tests/notifications/test_two_attempts.py::"
GUARANTEED, NEXT, TOLD = (f"tests/notifications/test_{name}.py::" for name in ("guarantees", "fallbacks", "callbacks"))
CHANGED = f"{MEANWHILE}test_what_changes_between_rendering_and_the_fence_is_not_sent"

ANSWER = [
    mutant(
        "doubt: a lost worker's intent is left as it is",
        f"{SENDING}:send",
        "if seen.delivery.state == State.SENDING:",
        "if False:",
        f"{SENT}test_a_crash_after_the_intent_becomes_a_doubt_and_is_never_sent_again",
        f"{TWICE}test_a_second_attempt_during_a_slow_call_makes_a_doubt_that_the_first_resolves",
    ),
    mutant(
        "doubt: a lost worker's message is sent again",
        f"{SENDING}:_recovered",
        "again = guarantees.of(delivery.channel).allows_another(delivery, seen.now)",
        "again = True",
        f"{GUARANTEED}test_a_worker_lost_while_sending_is_a_doubt_under_hold",
    ),
    mutant(
        "doubt: sent again while the lost worker's request may be under way",
        f"{SENDING}:_recovered",
        "if again and (over := guarantees.nothing_open_at(delivery)) > seen.now:",
        "if again and (over := seen.now) > seen.now:",
        f"{GUARANTEED}test_but_not_while_the_lost_workers_request_may_be_under_way",
    ),
    mutant(
        "doubt: over an answer that came meanwhile",
        f"{OUTCOMES}:Intent.unknown",
        "mine = self.rows.filter(state=State.SENDING)",
        "mine = Delivery.objects.filter(pk=self.delivery.pk)",
        f"{TWICE}test_a_doubt_is_not_written_over_an_answer",
    ),
    mutant(
        "doubt: takes another attempt's intent for its own",
        f"{SENDING}:_recovered",
        "if now is None or now.delivery.state == State.SENDING:",
        "if now is None:",
        f"{MEANWHILE}test_an_intent_that_another_attempt_wrote_meanwhile_is_not_ours_to_judge",
    ),
    mutant(
        "doubt: not resolved by who knows",
        f"{OUTCOMES}:Intent.rows",
        "live = [State.SENDING, State.IN_DOUBT]",
        "live = [State.SENDING]",
        f"{TWICE}test_a_second_attempt_during_a_slow_call_makes_a_doubt_that_the_first_resolves",
        f"{GUARANTEED}test_a_slow_worker_that_was_given_up_still_tells_what_it_knows",
    ),
    mutant(
        "doubt: not counted",
        f"{GUARANTEES}:unknown",
        'default=F("doubts") + 1, output_field=COUNT',
        'default=F("doubts"), output_field=COUNT',
        f"{GUARANTEED}test_resend_and_keyed_ask_again_with_the_same_key_and_keep_the_count",
    ),
    mutant(
        "doubt: forgotten by a later end",
        f"{GUARANTEES}:unless_in_doubt",
        "doubtful = When(doubts__gt=0, ",
        "doubtful = When(doubts__gt=999, ",
        f"{GUARANTEED}test_a_cancel_after_a_doubt_promises_nothing",
        f"{GUARANTEED}test_neither_does_a_withdrawal_by_a_person",
    ),
    mutant(
        "doubt: forgotten by a later refusal",
        f"{OUTCOMES}:_known",
        "Q(state=State.SENDING, doubts__gt=0) | Q(state=State.IN_DOUBT, doubts__gt=1)",
        "Q(pk__isnull=True)",
        f"{GUARANTEED}test_a_doubt_outlives_what_comes_after_it",
        f"{NEXT}test_not_even_if_a_later_attempt_is_refused",
    ),
    mutant(
        "doubt: another channel while the first may have it",
        f"{OUTCOMES}:_end_and_go_on",
        "== State.IN_DOUBT:\n            return not only_if_next",
        '== "never":\n            return not only_if_next',
        f"{NEXT}test_not_even_if_a_later_attempt_is_refused",
    ),
    mutant(
        "doubt: over what a callback has told",
        f"{GUARANTEES}:unknown",
        "When(told, then=Value(Delivery.State.SENT))",
        "When(told, then=Value(state))",
        f"{GUARANTEED}test_a_callback_that_was_faster_than_a_broken_answer_settles_it",
        "tests/notifications/test_callbacks_of_messages.py::test_a_callback_faster_than_a_broken_answer_settles_a_direct_message",
    ),
    mutant(
        "doubt: resent for ever",
        f"{GUARANTEES}:Guarantee.allows_another",
        "return delivery.doubts < REPEATS",
        "return True",
        f"{GUARANTEED}test_resend_does_not_fill_a_mailbox",
    ),
    mutant(
        "doubt: sent again under a key that is forgotten",
        f"{GUARANTEES}:Guarantee.allows_another",
        "(self.keys_last is None or now < delivery.send_at + self.keys_last)",
        "True",
        f"{GUARANTEED}test_keyed_holds_when_the_receiver_has_forgotten_the_key",
    ),
    mutant(
        "report mail: decided twice",
        "notifications/reports/mail_ends.py:_sent",
        "pk=pk, state=State.IN_DOUBT)",
        "pk=pk)",
        f"{MAILS}test_what_is_in_no_doubt_is_left_alone[sent-planned]",
        f"{MAILS}test_of_two_who_decide_at_once_one_does[outcomes0]",
    ),
    mutant(
        "report mail: sent again though it is decided",
        "notifications/reports/mail_ends.py:_resend",
        "pk=pk, state=State.IN_DOUBT)",
        "pk=pk)",
        f"{MAILS}test_what_is_in_no_doubt_is_left_alone[resend-sent]",
    ),
    mutant(
        "report mail: sent again while its job runs",
        "notifications/reports/mail_ends.py:_resend",
        "if not ledger.retry([pk]) and not _anew(pk):",
        "if not ledger.retry([pk]) and not _anew(pk) and False:",
        f"{MAILS}test_a_job_that_still_runs_knows_better",
    ),
    mutant(
        "doubt: decided twice",
        f"{DOUBTS}:_sent",
        "in_doubt().filter(pk=pk, state__in=[State.IN_DOUBT, State.PLANNED])",
        "Delivery.objects.filter(pk=pk)",
        f"{RESOLVED}test_somebody_who_knows_that_it_arrived_says_so_once",
        f"{TOLD}test_a_callback_changes_no_state_but_a_doubt",
    ),
    mutant(
        "callback: counts each time it is told",
        f"{RECORD}:record",
        "if not new:",
        "if False:",
        f"{REPLIES}test_a_reply_that_comes_again_late_does_not_undo_a_newer_one",
    ),
    mutant(
        "callback: a later one makes a worse one better",
        f"{RECORD}:_outcome",
        "row.filter(outcome__in=better).update",
        "row.update",
        f"{TOLD}test_statuses_that_overtake_each_other_end_the_same",
    ),
    mutant(
        "callback: noted, and what follows is lost",
        f"{RECORD}:record",
        "with transaction.atomic():",
        "if True:",
        f"{REPLIES}test_a_failure_while_writing_leaves_nothing_so_that_it_is_told_again",
    ),
    mutant(
        "opt-out: noted, and the reminders stay planned",
        f"{CONSENT}:record",
        "reconciler.replan(customer)",
        "pass",
        f"{AT_ONCE}test_after_a_change_that_was_confirmed_no_provider_is_called[customer_opted_out]",
    ),
    mutant(
        "outcome: of another attempt's intent",
        f"{OUTCOMES}:Intent.rows",
        "token=self.token, ",
        "",
        f"{TWICE}test_an_outcome_is_written_over_its_own_intent_only[token]",
    ),
    mutant(
        "outcome: over what is over",
        f"{OUTCOMES}:Intent.rows",
        ", state__in=live)",
        ")",
        f"{TWICE}test_an_outcome_is_written_over_its_own_intent_only[state]",
    ),
    mutant(
        "answer: unknown is tried again",
        f"{SENDING}:_handed_over",
        "again = guarantees.of(delivery.channel).allows_another(delivery, crowding.database_now())",
        "again = True",
        f"{SENT}test_an_unknown_outcome_is_a_doubt_and_is_not_retried",
        f"{GUARANTEED}test_hold_asks_once",
    ),
    mutant(
        "answer: only Unknown is unknown",
        f"{SENDING}:_handed_over",
        "except Exception as exc:\n        # Unknown",
        "except Unknown as exc:\n        # Unknown",
        f"{SENT}test_an_unknown_outcome_is_a_doubt_and_is_not_retried[answer1]",
    ),
    mutant(
        "answer: busy leaves the intent",
        f"{SENDING}:_busy",
        "intent.put_back(str(exc))",
        "pass",
        f"{SENT}test_a_busy_provider_is_tried_again_later",
    ),
    mutant(
        "answer: forgotten when the database hiccups",
        f"{OUTCOMES}:_insist",
        "insist(write)",
        "write()",
        f"{ACCIDENTS}test_what_the_server_took_is_sent_although_the_database_hiccups",
    ),
    mutant(
        "smtp: a broken connection after the message was not taken",
        "notifications/channels/smtp.py:_Exact.data",
        'raise Unanswered("the connection broke before the server answered") from exc',
        "raise",
        f"{MAIL}test_each_answer_means_what_it_says",
    ),
    mutant(
        "smtp: an answer that is neither yes nor no is a refusal",
        "notifications/channels/smtp.py:_Exact.data",
        "if not 400 <= code < 600:",
        "if False:",
        f"{ACCIDENTS}test_an_answer_that_is_no_refusal_is_not_sent_again",
    ),
    mutant(
        "email: any backend's broken connection was not taken",
        "notifications/channels/email.py:_hand_over",
        "(Gone if isinstance(backend, ExactBackend) else Unknown)(why)",
        "Gone(why)",
        f"{MAIL}test_a_backend_that_cannot_tell_how_far_it_came_leaves_a_doubt",
    ),
    mutant(
        "skipped: over what was decided meanwhile",
        f"{OUTCOMES}:skipped",
        "Delivery.objects.filter(pk=delivery.pk, state=State.PLANNED)",
        "Delivery.objects.filter(pk=delivery.pk)",
        f"{MEANWHILE}test_a_template_that_breaks_changes_nothing_that_was_withdrawn",
        f"{MEANWHILE}test_the_reason_of_a_withdrawal_is_not_written_over",
    ),
    mutant(
        "why not: a reminder that was moved is skipped",
        f"{SENDING}:_explained",
        "raise Snooze(seen.delivery.send_at)  # it was moved",
        "pass",
        f"{CHANGED}[not yet due]",
    ),
    mutant(
        "why not: by the clock of the worker's machine",
        f"{SENDING}:look",
        "return None if row is None else Look(row, row.now)",
        "return None if row is None else Look(row, datetime.now().astimezone())",
        f"{MEANWHILE}test_a_worker_whose_clock_is_wrong_sends_neither_early_nor_late",
    ),
    mutant(
        "fallback: for a booking that was cancelled meanwhile",
        f"{FALLBACKS}:is_wanted",
        "return not unwanted(rule_of(delivery), anchor)",
        "return True",
        f"{NEXT}test_a_refusal_after_the_booking_was_cancelled_is_the_end",
    ),
    mutant(
        "fallback: a cancel at the same moment",
        f"{FALLBACKS}:hold_anchor",
        'rows.select_for_update(of=("self",), no_key=True)',
        "rows",
        f"{NEXT}test_a_cancel_and_a_refusal_at_once_leave_no_fallback",
    ),
    mutant(
        "fallback: when it is of no use any more",
        f"{FALLBACKS}:plan_next",
        "if delivery.useful_until <= crowding.database_now():",
        "if False:",
        f"{NEXT}test_what_is_of_no_use_any_more_goes_by_no_other_channel",
    ),
]

MUTANTS = [*ANSWER]
