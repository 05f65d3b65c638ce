"""Bookings, payments and rules against each other and against the planner."""

from tests.mutants.mutant import mutant

PLANNER, CHANGES, BOOKINGS, RECONCILER = (
    f"notifications/{name}.py" for name in ("planning", "changes", "bookings", "reconciler")
)
PAYMENTS, UPSERTS = "notifications/payments.py", "notifications/imports/upserts.py"
PLANS, BOOKED, AT_ONCE, IMPORTS = (
    f"tests/notifications/test_{name}.py::" for name in ("reminders", "bookings", "interleavings", "imports")
)
COSTS = "tests/notifications/test_import_costs.py::"
PLANNERS = "tests/notifications/test_planner_interleavings.py::"
PLANNING = "tests/notifications/test_planning.py::"
OVERTAKEN = f"{PLANNERS}test_a_planner_that_has_read_a_booking_lets_no_change_overtake_it"
FIRST = f"{AT_ONCE}test_of_a_change_and_the_fence_at_once_the_second_sees_what_the_first_did"

MUTANTS = [
    mutant(
        "plan: a reminder twice",
        f"{CHANGES}:Changes.apply",
        "Delivery.objects.bulk_create(new, batch_size=CHUNK, ignore_conflicts=True)",
        "Delivery.objects.bulk_create(new, batch_size=CHUNK)",
        f"{PLANNERS}test_two_planners_at_once_make_each_reminder_once",
    ),
    mutant(
        "plan: withdraws what is being sent",
        f"{CHANGES}:_withdraw",
        "rows.filter(state=State.PLANNED).update",
        "rows.update",
        FIRST,
    ),
    mutant(
        "plan: says withdrawn of what is being sent",
        f"{CHANGES}:_withdraw",
        "if delivery.fate == State.SKIPPED else",
        "if True else",
        FIRST,
    ),
    mutant(
        "plan: a withdrawal that leaves its own row alone",
        f"{CHANGES}:_withdraw",
        "rows.filter(state=State.PLANNED).update(**guarantees.unless_in_doubt(State.SKIPPED, reason=reason))",
        "pass",
        f"{BOOKED}test_after_a_cancel_nothing_is_sent",
        FIRST,
    ),
    mutant(
        "plan: a withdrawal that leaves the job",
        f"{CHANGES}:_withdraw",
        "ledger.cancel(some, why)",
        "pass",
        f"{PLANNING}test_a_payment_gets_its_series_until_it_is_paid",
    ),
    mutant(
        "plan: locks in any order",
        f"{CHANGES}:in_order",
        'rows.select_for_update().order_by("pk").values_list',
        "rows.values_list",
        f"{PLANNERS}test_two_changes_of_many_deliveries_do_not_deadlock",
    ),
    mutant(
        "plan: moves what is being sent",
        f"{CHANGES}:_set_window",
        "rows.filter(state=state).update",
        "rows.update",
        f"{AT_ONCE}test_a_rule_that_changes_while_the_fence_is_passed_moves_nothing",
    ),
    mutant(
        "plan: restores what was sent",
        f"{CHANGES}:_set_window",
        "rows.filter(state=state).update",
        "rows.filter(state__in=[state, State.SENT]).update",
        f"{PLANNERS}test_a_restore_that_comes_too_late_does_not_send_again",
    ),
    mutant(
        "plan: a restored reminder without a job",
        f"{CHANGES}:Changes.apply",
        "ledger.retry([delivery.pk for delivery in restored])",
        "pass",
        f"{PLANNING}test_a_rule_switched_off_withdraws_and_switched_on_restores",
    ),
    mutant(
        "plan: restores what a person withdrew",
        PLANNER,
        "{Reason.LEAD_TIME_PAST, ",
        "{Reason.JOB_CANCELLED, Reason.LEAD_TIME_PAST, ",
        f"{PLANS}test_what_a_person_withdrew_is_not_planned_again",
    ),
    mutant(
        "plan: a burst of reminders whose time is past",
        f"{PLANNER}:_Occurrence._keep",
        "elif when.send_at <= self.now:",
        "elif False:",
        f"{PLANNING}test_a_rule_changed_to_a_lead_time_that_is_past_sends_no_burst",
    ),
    mutant(
        "plan: keeps reminders of the old time",
        f"{PLANNER}:_compare",
        "elif delivery.state == State.PLANNED and (outdated or why_not):",
        "elif delivery.state == State.PLANNED and why_not:",
        f"{BOOKED}test_a_move_withdraws_the_old_time_and_plans_the_new_one",
    ),
    mutant(
        "booking: changes what is off",
        f"{BOOKINGS}:_change",
        ", status=Status.BOOKED, ",
        ", ",
        f"{BOOKED}test_a_cancelled_booking_cannot_be_moved_or_cancelled_again",
        f"{PLANNERS}test_of_two_changes_of_a_booking_the_second_sees_what_the_first_did",
    ),
    mutant(
        "booking: the change without its plan",
        f"{BOOKINGS}:_change",
        "with transaction.atomic():",
        "if True:",
        f"{PLANNERS}test_a_change_whose_plan_fails_is_no_change[booking]",
    ),
    mutant(
        "booking: a move without a new revision",
        f"{BOOKINGS}:_moved",
        '"revision": F("revision") + unless_same(when),',
        "",
        f"{BOOKED}test_a_move_withdraws_the_old_time_and_plans_the_new_one",
    ),
    mutant(
        "booking: two moves share a revision",
        f"{BOOKINGS}:reschedule",
        "**_moved(when), ",
        '**(_moved(when) | {"revision": booking.revision + 1}), ',
        f"{PLANNERS}test_two_moves_at_once_have_a_revision_each",
    ),
    mutant(
        "booking: the receipt is read before the plan",
        f"{BOOKINGS}:_change",
        "return Receipt.of(booking, reminders.plan([booking]))",
        "before = Receipt.of(booking, Plan())\n        done = reminders.plan([booking])\n"
        "        return Receipt(done.added + done.moved, done.withdrawn, before.in_flight, before.already_sent)",
        "tests/notifications/test_changes.py::"
        "test_a_reminder_that_is_sent_while_the_booking_is_cancelled_is_on_the_receipt",
    ),
    mutant(
        "payment: changes what is off",
        f"{PAYMENTS}:_change",
        ", status__in=from_).update",
        ").update",
        f"{BOOKED}test_a_payment_can_be_postponed_or_called_off",
    ),
    mutant(
        "payment: two parts at once are one",
        f"{PAYMENTS}:mark_paid",
        'F("paid_amount") + _positive(amount, "paid")',
        "Value(payment.paid_amount + amount)",
        f"{PLANNERS}test_two_part_payments_at_once_add_up",
    ),
    mutant(
        "payment: the change without its plan",
        f"{PAYMENTS}:_change",
        "with transaction.atomic():",
        "if True:",
        f"{PLANNERS}test_a_change_whose_plan_fails_is_no_change[payment]",
    ),
    mutant(
        "reconcile: plans a booking that is changing",
        f"{RECONCILER}:_in_chunks",
        'some.select_for_update(of=("self",), no_key=True)[:CHUNK]',
        "some[:CHUNK]",
        f"{OVERTAKEN}[off-reconciler]",
    ),
    mutant(
        "replan: plans a booking that is changing",
        f"{RECONCILER}:replan",
        '.select_for_update(of=("self",), no_key=True)',
        "",
        f"{OVERTAKEN}[off-new address]",
    ),
    mutant(
        "settle: over what is being changed",
        f"{RECONCILER}:settle",
        "some.select_for_update(skip_locked=True).values_list",
        "some.values_list",
        f"{PLANNERS}test_settle_leaves_alone_what_is_being_changed",
    ),
    mutant(
        "settle: forgets those whose job ended",
        f"{RECONCILER}:settle",
        "ended += planned.update",
        "ended += planned.none().update",
        f"{PLANS}test_a_job_that_an_operator_cancelled_shows_on_the_delivery",
    ),
    mutant(
        "settle: forgets what was planned again when its worker left it",
        f"{RECONCILER}:settle",
        'ended += len(ledger.retry(planned.values_list("pk", flat=True)))',
        "pass",
        f"{PLANNERS}test_a_reminder_that_is_restored_when_its_worker_has_just_left_it_goes_out",
    ),
    mutant(
        "settle: calls an interrupted call refused",
        f"{RECONCILER}:settle",
        "planned = rows.filter(state=State.PLANNED)",
        "planned = rows",
        f"{PLANS}test_a_job_that_ended_while_sending_leaves_a_doubt",
    ),
    mutant(
        "withdraw: what is being sent",
        f"{RECONCILER}:withdraw",
        "pk__in=wanted, state=State.PLANNED",
        "pk__in=wanted",
        FIRST,
    ),
    mutant(
        "resend: what was sent or is in doubt",
        f"{RECONCILER}:resend",
        "pk__in=wanted, state__in=again, ",
        "pk__in=wanted, ",
        f"{PLANS}test_only_what_was_refused_or_withdrawn_is_sent_again",
    ),
    mutant(
        "resend: without the row's lock",
        f"{RECONCILER}:resend",
        "rows.select_for_update().values_list",
        "rows.values_list",
        f"{PLANNERS}test_a_resend_does_not_bring_back_what_was_sent_meanwhile",
    ),
    mutant(
        "import: writes over a change",
        f"{UPSERTS}:Upsert._stored",
        'self.model._default_manager.select_for_update(of=("self",), no_key=True).select_related',
        "self.model._default_manager.select_related",
        f"{OVERTAKEN}[off-import]",
    ),
    mutant(
        "import: brings back what is cancelled",
        f"{UPSERTS}:Upsert._update",
        "if was != self.open and not reopened:",
        "if False:",
        f"{IMPORTS}test_what_is_cancelled_here_stays_so_unless_the_file_may_reopen",
    ),
    mutant(
        "import: two at once collide",
        "notifications/imports/__init__.py:_write",
        "if attempt == ATTEMPTS - 1:",
        "if True:",
        f"{COSTS}test_two_imports_at_once_do_not_collide",
        f"{PLANNERS}test_two_imports_of_one_booking_make_it_once",
    ),
    mutant(
        "import: a move without a new revision",
        f"{UPSERTS}:Upsert.changed",
        "found.revision += 1",
        "pass",
        f"{IMPORTS}test_a_changed_time_withdraws_the_reminders_of_the_old_time",
    ),
]
