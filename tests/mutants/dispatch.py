"""From the row to the broker: messages, the broker's epoch, and the clock."""

from tests.mutants.mutant import mutant

DISPATCHER, HOLD, STANDIN, BROKER = (
    f"tests/jobs/test_{name}.py::" for name in ("dispatcher", "hold", "standin", "broker")
)
AT_ONCE = "tests/jobs/test_interleavings.py::"

MESSAGES = [
    mutant(
        "publish: before the rows are committed",
        "jobs/dispatcher.py:dispatch_due",
        "return sum(_filled(queue, epoch, now) for queue in queues.due(now))",
        "from django.db import transaction\n"
        "    with transaction.atomic():\n"
        "        return sum(_filled(queue, epoch, now) for queue in queues.due(now))",
        f"{AT_ONCE}test_a_message_goes_out_when_its_row_is_committed",
    ),
    mutant(
        "publish: what the broker refused stays marked",
        "jobs/messages.py:publish",
        "ledger.release(Job.objects.filter(pk__among=rest))",
        "pass",
        f"{DISPATCHER}test_what_the_broker_refuses_is_scheduled_again_at_once",
    ),
    mutant(
        "publish: one bad message stops the others",
        "jobs/messages.py:publish",
        "except Exception:",
        "except ZeroDivisionError:",
        "tests/jobs/test_outcomes.py::test_one_message_that_cannot_be_made_does_not_hold_up_the_others",
    ),
    mutant(
        "publish: a poison job among its neighbours",
        "jobs/messages.py:_messages",
        "bool(job.failures or ",
        "bool(",
        "tests/jobs/test_shared_messages.py::test_what_failed_before_travels_alone",
    ),
    mutant(
        "epoch: nobody looks",
        "jobs/dispatcher.py:dispatch_due",
        "ledger.release(Job.objects.exclude(epoch=epoch))",
        "0",
        f"{DISPATCHER}test_a_broker_that_lost_its_messages_gets_them_again_at_the_next_tick",
    ),
    mutant(
        "epoch: messages that still wait are sent again",
        "jobs/dispatcher.py:dispatch_due",
        "Job.objects.exclude(epoch=epoch)",
        "Job.objects.all()",
        f"{DISPATCHER}test_a_message_that_still_waits_is_not_sent_again",
    ),
    mutant(
        "epoch: rows are marked without a broker",
        "jobs/dispatcher.py:dispatch_due",
        "return 0\n    lost =",
        'epoch = ""\n    lost =',
        f"{DISPATCHER}test_without_a_broker_nothing_is_marked",
    ),
    mutant(
        "epoch: two dispatchers write two",
        "jobs/broker.py:_kept",
        ", nx=True)",
        ")",
        f"{BROKER}test_valkey_keeps_its_epoch_until_it_is_flushed",
    ),
    mutant(
        "epoch: RabbitMQ's is overwritten",
        "jobs/broker.py:_named",
        "Clock.objects.filter(epoch=known).update",
        "Clock.objects.update",
        f"{BROKER}test_a_dispatcher_that_comes_second_takes_the_firsts_epoch",
    ),
    mutant(
        "epoch: RabbitMQ's queue is not looked for",
        "jobs/broker.py:_named",
        "if known and _has(connection, known):",
        "if known:",
        f"{BROKER}test_a_rabbitmq_that_lost_its_queues_has_another_epoch",
    ),
]

CLOCK = [
    mutant(
        "hold: sends by a clock that jumped",
        "jobs/dispatcher.py:dispatch_due",
        "if ticks.look(by).held_since:",
        "if ticks.look(by) is None:",
        f"{HOLD}test_nothing_is_sent_nor_rescued_while_the_clock_is_not_believed",
    ),
    mutant(
        "hold: refills by a clock that jumped",
        "jobs/dispatcher.py:refill",
        "if ticks.look().held_since:",
        "if False:",
        f"{HOLD}test_a_worker_refills_nothing_while_the_clock_is_not_believed",
    ),
    mutant(
        "hold: forward only",
        "jobs/hold.py:jump",
        "abs(parted) > explained",
        "parted > explained",
        f"{HOLD}test_a_jump_is_what_delay_and_drift_cannot_explain",
    ),
    mutant(
        "hold: back only",
        "jobs/hold.py:jump",
        "abs(parted) > explained",
        "-parted > explained",
        f"{HOLD}test_a_jump_is_what_delay_and_drift_cannot_explain",
    ),
    mutant(
        "hold: a slow answer is a jump",
        "jobs/hold.py:jump",
        "before.latency + after.latency + ",
        "",
        f"{HOLD}test_a_jump_is_what_delay_and_drift_cannot_explain",
    ),
    mutant(
        "hold: drift is a jump",
        "jobs/hold.py:jump",
        " + elapsed * DRIFT",
        "",
        f"{HOLD}test_a_jump_is_what_delay_and_drift_cannot_explain",
    ),
    mutant(
        "hold: ends at the first agreeing look",
        "jobs/hold.py:Witness._wait",
        "self._agreed >= AGREEING",
        "self._agreed >= 1",
        f"{HOLD}test_a_clock_that_is_back_for_a_moment_only_is_not_believed",
    ),
    mutant(
        "hold: a process that starts ends it",
        "jobs/hold.py:Witness.look",
        "if held:",
        "if held and last:",
        f"{HOLD}test_a_process_that_starts_during_a_hold_does_not_end_it",
    ),
    mutant(
        "hold: the last tick lies ahead",
        "jobs/hold.py:Witness.look",
        "if ticked_at and ticked_at - reading.now > TOLERANCE:",
        "if False:",
        f"{HOLD}test_a_process_that_starts_after_the_clock_went_back_holds_by_the_last_tick",
    ),
    mutant(
        "hold: released, and held again by the old tick",
        "jobs/ticks.py:release",
        ", ticked_at=Now())",
        ")",
        f"{HOLD}test_a_hold_by_the_last_tick_ends_when_a_person_releases_it",
    ),
    mutant(
        "standin: ticks beside the clock",
        "jobs/standin.py:StandIn.stand_in",
        "standing = missed or row.ticked_by == self._name",
        "standing = True",
        f"{STANDIN}test_a_worker_does_not_tick_while_the_clock_does",
    ),
    mutant(
        "standin: nobody ticks",
        "jobs/standin.py:StandIn.stand_in",
        "standing = missed or row.ticked_by == self._name",
        "standing = row.ticked_by == self._name",
        f"{STANDIN}test_a_worker_ticks_when_nobody_does",
    ),
    mutant(
        "standin: a tick from the future counts",
        "jobs/ticks.py:missed",
        "abs(row.now - row.ticked_at) > STALE",
        "row.now - row.ticked_at > STALE",
        f"{STANDIN}test_a_worker_ticks_when_nobody_does[in the future]",
    ),
]

MUTANTS = [*MESSAGES, *CLOCK]
