"""One delivery on its way out: the intent fence."""

from tests.mutants.mutant import Cut, mutant

FENCE, SENDING = (f"notifications/{name}.py" for name in ("fence", "sending"))
GUARANTEES, DIGESTS, REACH = (f"notifications/{name}.py" for name in ("guarantees", "digests", "reach"))
WANTED, INTEND = f"{FENCE}:_still_wanted", f"{FENCE}:intend"
SENT, AT_FENCE, MEANWHILE, AT_ONCE = (
    f"tests/notifications/test_{name}.py::" for name in ("reminders", "fence", "meanwhile", "interleavings")
)
DIGESTED = "tests/notifications/test_digests.py::"
CROWDED = "tests/notifications/test_crowding.py::"
MORNING = "tests/stories/test_one_morning.py::"
NOT_LOST = "tests/stories/test_the_other_is_not_lost.py::"
CHANGED = f"{MEANWHILE}test_what_changes_between_rendering_and_the_fence_is_not_sent"
OURS = f"{MEANWHILE}test_the_fence_is_shut_to_a_worker_whose_job_was_taken_away"
FIRST = f"{AT_ONCE}test_of_a_change_and_the_fence_at_once_the_second_sees_what_the_first_did"
NOT_TO_THEM = f"{AT_FENCE}test_it_counts_even_between_rendering_and_the_call"

INTENT = [
    mutant("fence: whatever the delivery's state", WANTED, "state=State.PLANNED, ", "", f"{CHANGED}[withdrawn]"),
    mutant(
        "fence: too early",
        Cut(WANTED, ", send_at__lte=Now()", ""),
        Cut(f"{SENDING}:send", "if delivery.send_at > now:", "if False:"),
        f"{CHANGED}[not yet due]",
        f"{SENT}test_a_reminder_is_never_early",
    ),
    mutant(
        "fence: too late",
        f"{FENCE}:checks",
        "(Reason.TOO_LATE, Q(useful_until__gt=Now())),",
        "",
        f"{CHANGED}[too late]",
    ),
    mutant(
        "fence: a booking that is off",
        f"{FENCE}:_open_anchor",
        ", status=status)",
        ")",
        f"{CHANGED}[booking cancelled]",
    ),
    mutant(
        "fence: a booking's time of before",
        f"{FENCE}:_open_anchor",
        'pk=OuterRef("booking_id"), revision=OuterRef("revision"), ',
        'pk=OuterRef("booking_id"), ',
        f"{CHANGED}[booking moved]",
    ),
    mutant(
        "fence: a payment that is paid",
        f"{FENCE}:_open_anchor",
        "payments.filter(status=Payment.Status.OPEN)",
        "payments",
        f"{CHANGED}[payment paid]",
    ),
    mutant(
        "fence: a payment's date of before",
        f"{FENCE}:_open_anchor",
        'pk=OuterRef("payment_id"), revision=OuterRef("revision")',
        'pk=OuterRef("payment_id")',
        f"{CHANGED}[payment postponed]",
    ),
    mutant(
        "fence: who has confirmed is asked",
        f"{FENCE}:_open_anchor",
        "bookings.filter(confirmed_at__isnull=True) if delivery.rule.unless_confirmed else bookings",
        "bookings",
        f"{CHANGED}[confirmed]",
    ),
    mutant("fence: a rule that is off", f"{FENCE}:checks", " & switched_on()", "", f"{CHANGED}[rule off]"),
    mutant(
        "fence: an address that is gone or another",
        f"{REACH}:conditions",
        "(Reason.NO_ADDRESS, same if address else Q(pk__in=[])),",
        "",
        f"{NOT_TO_THEM}[no_address]",
        f"{AT_FENCE}test_a_message_is_not_sent_to_an_address_that_was_just_changed",
    ),
    mutant(
        "fence: somebody who opted out",
        f"{REACH}:conditions",
        "not_refused = ~Q(Exists(said.filter(granted=False)))",
        "not_refused = Q()",
        f"{NOT_TO_THEM}[opted_out]",
    ),
    mutant(
        "fence: an address that must not be written to",
        f"{REACH}:conditions",
        "(Reason.SUPPRESSED, ~Q(Exists(barred))),",
        "",
        f"{NOT_TO_THEM}[suppressed]",
    ),
    mutant(
        "fence: superseded by a later reminder",
        f"{FENCE}:checks",
        "(Reason.SUPERSEDED, ~Q(Exists(crowding.superseding(delivery)))),",
        "",
        f"{CROWDED}test_after_an_outage_one_message_per_booking_goes_out_the_nearest_to_the_start",
    ),
    mutant(
        "fence: two that quiet hours brought together",
        "notifications/crowding.py:superseding",
        'meant=Coalesce("moved_from", "send_at")',
        'meant=Coalesce("send_at", "send_at")',
        f"{MORNING}test_only_the_most_relevant_of_them_goes_and_the_other_says_so",
    ),
    mutant(
        "superseded: by one that may still fail",
        "notifications/crowding.py:told_instead",
        "(State.SENT, State.IN_DOUBT)",
        "(State.SENT, State.IN_DOUBT, State.PLANNED)",
        f"{MORNING}test_nor_to_one_that_a_person_withdraws_while_its_provider_is_busy",
    ),
    mutant(
        "superseded: by what went along in a digest that did not arrive",
        "notifications/crowding.py:superseding",
        " & ~Q(digest__outcome__in=Delivery.UNREACHED)",
        "",
        f"{NOT_LOST}test_it_went_along_in_a_digest_that_did_not_arrive[False]",
    ),
    mutant(
        "superseded: for ever, though the next channel did not go",
        "notifications/outcomes.py:_go_on",
        "_give_back(parts)",
        "pass",
        f"{NOT_LOST}test_its_next_channel_did_not_go_either",
    ),
    mutant(
        "superseded: by what is told at this moment not to have arrived",
        "notifications/outcomes.py:gave_way",
        "hold(delivery)",
        "pass",
        f"{NOT_LOST}test_that_it_did_not_arrive_is_told_while_the_other_gives_way",
    ),
    mutant(
        "fence: by whoever ever held the job",
        WANTED,
        "& Q(ledger.holds(job, lasting=QUARANTINE))",
        "",
        OURS,
        f"{SENT}test_a_worker_that_lost_its_job_does_not_send",
        f"{SENT}test_a_job_cancelled_while_it_runs_does_not_send_and_ends_as_cancelled",
    ),
    mutant(
        "fence: looked at, and written later",
        INTEND,
        "if not wanted.update(",
        "if not wanted.exists() or not mine.update(",
        FIRST,
    ),
    mutant(
        "fence: no look at the rows at all",
        INTEND,
        "wanted = mine.filter(_still_wanted(delivery, address, job))",
        "wanted = mine",
        CHANGED,
        OURS,
        FIRST,
    ),
    mutant(
        "fence: more a day than the rule allows",
        INTEND,
        "if crowding.day_is_full(delivery):",
        "if False:",
        f"{CROWDED}test_a_customer_gets_no_more_on_a_day_than_the_rule_says",
    ),
    mutant(
        "fence: two workers count one day at the same time",
        f"{FENCE}:_alone",
        "crowding.locked(delivery.customer_id)",
        "pass",
        f"{CROWDED}test_two_workers_at_once_do_not_exceed_the_cap",
    ),
    mutant(
        "digest: mentions what was paid meanwhile",
        f"{DIGESTS}:take_along",
        "raise Changed",
        "return",
        f"{DIGESTED}test_a_payment_paid_while_the_digest_is_written_is_left_out",
    ),
    mutant(
        "digest: its parts are not given back",
        f"{DIGESTS}:give_back",
        'return lead.contains.filter(reason=Reason.IN_DIGEST).update(state=State.PLANNED, reason="", digest=None)',
        "return 0",
        f"{DIGESTED}test_a_busy_provider_gives_them_all_back_and_all_go_out_later",
    ),
    mutant(
        "intent: no intent",
        INTEND,
        "wanted.update(state=State.SENDING, intent_at=Now(), **intent)",
        "wanted.exists()",
        f"{AT_ONCE}test_a_change_while_the_provider_is_called_hears_that_it_is_in_flight",
    ),
    mutant(
        "quarantine: begins whenever",
        INTEND,
        "if time.monotonic() - asked <= QUARANTINE.total_seconds():",
        "if True:",
        f"{SENT}test_a_worker_that_was_stopped_between_intent_and_request_does_not_send",
    ),
    mutant(
        "quarantine: measured from after the fence",
        Cut(INTEND, "asked = time.monotonic()", "pass"),
        Cut(
            INTEND,
            "if time.monotonic() - asked <=",
            "asked = time.monotonic()\n        if time.monotonic() - asked <=",
        ),
        f"{MEANWHILE}test_the_quarantine_begins_before_the_fence_is_asked",
    ),
    mutant(
        "quarantine: as long as a lease",
        GUARANTEES,
        "QUARANTINE = timedelta(seconds=10)",
        "QUARANTINE = timedelta(seconds=20)",
        "tests/model/test_model.py::test_whoever_is_slow_enough_to_be_rescued_is_slower_than_the_quarantine",
    ),
    mutant(
        "quarantine: the lease may end within it",
        WANTED,
        ", lasting=QUARANTINE",
        "",
        f"{MEANWHILE}test_a_worker_whose_lease_is_nearly_over_does_not_begin",
    ),
    mutant(
        "quarantine: its intent stays",
        INTEND,
        '_take_back(delivery, job)\n    raise Busy("this',
        'raise Busy("this',
        f"{SENT}test_a_worker_that_was_stopped_between_intent_and_request_does_not_send",
    ),
    mutant(
        "intent: a commit without an answer counts as written",
        INTEND,
        "except AWAY:\n        _take_back(delivery, job)",
        "except (OperationalError, InterfaceError):",
        f"{MEANWHILE}test_an_intent_whose_commit_was_not_answered_is_taken_back",
    ),
    mutant(
        "intent: takes back another attempt's",
        f"{FENCE}:_take_back",
        "state=State.SENDING, token=job.token)",
        "state=State.SENDING)",
        f"{MEANWHILE}test_nothing_is_taken_back_but_the_intent_itself[intent of another attempt]",
    ),
    mutant(
        "intent: takes back what was withdrawn",
        f"{FENCE}:_take_back",
        "state=State.SENDING, token=job.token)",
        "token=job.token)",
        f"{MEANWHILE}test_nothing_is_taken_back_but_the_intent_itself[withdrawn]",
    ),
    mutant(
        "deliver: without a limit on its time",
        "notifications/reminders.py",
        "time_limit=75,",
        "",
        f"{MEANWHILE}test_a_call_of_a_provider_has_an_end",
    ),
]

MUTANTS = [*INTENT]
