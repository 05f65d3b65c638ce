"""Lanes, rates of tasks, the passes of rescuer and dispatcher, and what beat remembers."""

from tests.mutants.mutant import mutant

IN_LANES = "tests/jobs/test_lanes.py::"
WINDOWS, LANES, RATES = "jobs/windows.py", "jobs/lanes.py", "jobs/rates.py"
FILLED, RATED, PASSES, SENT, HELD, PLANNED = (
    f"tests/jobs/test_{name}.py::" for name in ("windows", "rates", "rescuer", "dispatcher", "hold", "schedules")
)
ALLOWED = f"{RATED}test_no_more_are_sent_than_the_rate_allows_and_others_are_not_held_up"
NO_PLACE = f"{IN_LANES}test_what_may_not_go_takes_no_place"

FILL = [
    mutant(
        "fill: one lane, and the jobs of others with it",
        f"{WINDOWS}:fill",
        "room, few[0].jobs, epoch",
        "room, None, epoch",
        f"{IN_LANES}test_of_a_single_lane_the_oldest_go_and_no_more_than_there_is_room",
    ),
    mutant(
        "fill: a lane with a key as one without",
        f"{LANES}:first",
        " or any(lane.concurrency_key for lane in found)",
        "",
        f"{IN_LANES}test_a_single_lane_with_a_key_keeps_the_keys_limit",
    ),
    mutant(
        "fill: what was changed past its lock stays marked",
        f"{WINDOWS}:fill",
        "transaction.set_rollback(True)",
        "pass",
        f"{FILLED}test_what_is_sent_is_taken_back_when_the_queue_was_changed_past_its_lock",
    ),
    mutant(
        "fill: cancelled jobs take the places of others in a few lanes",
        f"{LANES}:heads",
        ", cancel_requested=False).exclude(useful_until__lte=now)",
        ")",
        NO_PLACE,
    ),
    mutant(
        "fill: jobs of later take the places of others in a few lanes",
        f"{LANES}:heads",
        ", run_at__lte=now, ",
        ", ",
        f"{IN_LANES}test_what_is_not_yet_due_takes_no_place_in_its_lane",
    ),
    mutant(
        "rate of a task: it goes with the others",
        "jobs/dispatcher.py:_fill",
        "[name for name in registry.names() if name not in rated]",
        "registry.names()",
        ALLOWED,
    ),
    mutant("rate of a task: beyond its tokens", f"{WINDOWS}:fill", "min(room, most)", "room", ALLOWED),
    mutant(
        "rate of a task: its tokens are not spent",
        f"{RATES}:fill",
        'row.save(update_fields=["tokens", "tokens_at"])',
        "pass",
        ALLOWED,
    ),
    mutant(
        "rate of a task: two dispatchers draw the same tokens",
        f"{RATES}:_held",
        "TaskRate.objects.select_for_update(skip_locked=True).filter",
        "TaskRate.objects.filter",
        "tests/jobs/test_actor_interleavings.py::test_two_queues_do_not_draw_the_tokens_of_one_task_twice",
    ),
]

PASS = [
    mutant(
        "rescuer: one row that cannot be rescued stops the others",
        "jobs/rescuer.py:_rescue",
        "except Error:",
        "except ZeroDivisionError:",
        f"{PASSES}test_a_row_that_cannot_be_rescued_keeps_no_other_waiting",
    ),
    mutant(
        "rescuer: what came too late waits for ever",
        "jobs/rescuer.py:rescue_lost",
        "expired=_expired(now)",
        "expired=0",
        f"{PASSES}test_a_pass_brings_back_and_ends_whatever_is_overdue",
    ),
    mutant(
        "reject: what no queue serves waits for ever",
        "jobs/ledger.py:reject",
        ", queue__in=list(served))",
        ")",
        "tests/jobs/test_choosing.py::test_what_no_queue_serves_is_rejected_too",
    ),
    mutant(
        "refill: fails the message that has just been done",
        "jobs/dispatcher.py:refill",
        "except (OperationalError, Error) as exc:",
        "except ZeroDivisionError as exc:",
        f"{SENT}test_a_refill_that_fails_is_left_to_the_next_tick",
    ),
    mutant(
        "hold: a clock is believed at the first even run",
        "jobs/hold.py:Witness._wait",
        ">= PATIENCE.total_seconds()",
        ">= 0",
        f"{HELD}test_a_jump_either_way_is_held_until_the_clock_has_been_back_for_some_ticks",
    ),
    mutant(
        "hold: never ends by itself",
        "jobs/hold.py:Witness._wait",
        "elif reading.steady - self._steady_since >= PATIENCE.total_seconds():",
        "elif False:",
        f"{HELD}test_a_clock_that_keeps_its_new_time_is_believed_in_the_end",
    ),
    mutant(
        "hold: agreeing looks need not follow each other",
        "jobs/hold.py:Witness._wait",
        "self._agreed + 1 if back else 0",
        "self._agreed + back",
        f"{HELD}test_the_looks_at_a_clock_that_is_back_have_to_follow_each_other",
    ),
]

BEAT = [
    mutant(
        "occurrence: before the start",
        "jobs/schedules.py:Slots.since",
        "max(looked_at, self.start - timedelta(microseconds=1)) if self.start else looked_at",
        "looked_at",
        f"{PLANNED}test_nothing_runs_before_the_start_and_intervals_count_from_it",
    ),
    mutant(
        "occurrence: of another hour is not looked for",
        "jobs/schedules.py:Scheduler.enabled_models_qs",
        "PeriodicTask.objects.enabled()",
        "super().enabled_models_qs()",
        f"{PLANNED}test_a_missed_run_of_another_hour_of_the_day_is_made_up_for",
    ),
    mutant(
        "occurrence: not looked at again soon",
        "jobs/schedules.py:Scheduler.apply_async",
        "self._failed = True",
        "pass",
        f"{PLANNED}test_what_the_database_did_not_take_is_tried_again",
    ),
]

MUTANTS = [*FILL, *PASS, *BEAT]
