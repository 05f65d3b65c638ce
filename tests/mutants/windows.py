"""What goes into a window: limits, pauses and turns."""

from tests.mutants.mutant import Cut, mutant

IN_LANES = "tests/jobs/test_lanes.py::"
WINDOWS, LIMITS, PAUSES = (f"tests/jobs/test_{name}.py::" for name in ("windows", "limits", "pauses"))
TURNS = "tests/jobs/test_turns.py::"
ACTORS = "tests/jobs/test_actor_interleavings.py::"

FILL = [
    mutant(
        "fill: two dispatchers at one queue",
        Cut(
            "jobs/queues.py:locked", "Queue.objects.select_for_update(skip_locked=True).filter", "Queue.objects.filter"
        ),
        Cut("jobs/limits.py:draw", ", tokens=before.tokens, tokens_at=before.at, dispatched=queue.dispatched)", ")"),
        f"{ACTORS}test_two_dispatchers_fill_one_window_once",
    ),
    mutant(
        "fill: waits for the other dispatcher",
        "jobs/queues.py:locked",
        "skip_locked=True",
        "skip_locked=False",
        f"{ACTORS}test_a_queue_that_a_dispatcher_holds_is_passed_by",
    ),
    mutant(
        "fill: the lock ends before the jobs are marked",
        "jobs/windows.py:fill",
        "with transaction.atomic():",
        "if True:",
        f"{ACTORS}test_two_dispatchers_fill_one_window_once",
    ),
    mutant(
        "fill: whatever the window",
        "jobs/windows.py:_room",
        "[row.window - queued]",
        "[row.window]",
        "tests/jobs/test_durable.py::test_a_queue_is_never_filled_beyond_its_window",
    ),
    mutant(
        "fill: whatever the concurrency",
        "jobs/windows.py:_room",
        "row.concurrency - held.total()",
        "row.concurrency",
        f"{WINDOWS}test_no_more_than_the_concurrency_is_queued_or_running",
    ),
    mutant(
        "fill: a rate lets jobs pile up",
        "jobs/windows.py:_room",
        "rate.burst - queued, ",
        "",
        f"{WINDOWS}test_a_rate_holds_back_what_would_pile_up_while_no_worker_takes_it",
    ),
    mutant(
        "fill: beyond the tokens",
        "jobs/windows.py:fill",
        "if moved and limits.draw(row, len(moved), at) < len(moved):",
        "if moved and limits.draw(row, len(moved), at) < 0:",
        f"{WINDOWS}test_a_bucket_that_was_emptied_since_it_was_read_gives_nothing",
    ),
    mutant(
        "fill: a paused queue",
        "jobs/windows.py:fill",
        " or queue in paused.queues",
        "",
        f"{PAUSES}test_what_is_paused_waits_and_what_is_not_goes[queue]",
    ),
    mutant(
        "fill: a paused task",
        "jobs/lanes.py:oldest",
        "and task not in shut.tasks",
        "",
        f"{PAUSES}test_what_is_paused_waits_and_what_is_not_goes[task]",
    ),
    mutant(
        "fill: a paused tenant",
        "jobs/lanes.py:oldest",
        "and row[1] not in shut.tenants",
        "",
        f"{PAUSES}test_what_is_paused_waits_and_what_is_not_goes[tenant]",
    ),
    mutant(
        "fill: a paused task in a crowd",
        "jobs/lanes.py:_sql",
        "[task for task in tasks if task not in shut.tasks]",
        "[*tasks]",
        f"{PAUSES}test_a_deep_backlog_of_a_paused_task_holds_up_nobody",
    ),
    mutant(
        "fill: a paused tenant in a crowd",
        "jobs/lanes.py",
        "AND (head.tenant IN ({tenants})) IS NOT TRUE",
        "AND (head.tenant IN ({tenants}) OR 1 = 1)",
        f"{IN_LANES}test_a_crowd_a_few_lanes_and_all_rows_lead_to_the_same_choice",
    ),
    mutant(
        "fill: jobs that may not go take the places of others",
        Cut(
            "jobs/lanes.py:oldest",
            "if not cancelled\n        and (useful_until is None or useful_until > now)",
            "if True",
        ),
        f"{IN_LANES}test_what_may_not_go_takes_no_place",
    ),
    mutant(
        "fill: cancelled jobs take the places of others in a crowd",
        "jobs/lanes.py:crowd",
        ", cancel_requested=False).exclude(useful_until__lte=now)",
        ")",
        f"{IN_LANES}test_what_may_not_go_takes_no_place",
    ),
    mutant(
        "fill: by the clock of the dispatcher's machine",
        "jobs/windows.py:fill",
        "now or locked[1]",
        "now or datetime.now().astimezone()",
        "tests/jobs/test_whose_clock.py::test_tokens_come_by_the_databases_clock",
    ),
    mutant(
        "keys: more than a key's limit",
        "jobs/turns.py:Seats.fits",
        " and (not job.key or self._keys.get(job.owned_key, 0) > 0)",
        "",
        f"{WINDOWS}test_jobs_of_a_key_run_one_at_a_time_unless_a_limit_says_otherwise",
        f"{TURNS}test_every_choice_is_fair_full_and_within_its_limits",
    ),
    mutant(
        "keys: two queues count at the same time",
        "jobs/limits.py:locked_key_limits",
        "KeyLimit.objects.select_for_update().order_by",
        "KeyLimit.objects.order_by",
        f"{ACTORS}test_two_queues_do_not_use_the_place_of_one_key_twice",
    ),
    mutant(
        "keys: of all tenants together",
        "jobs/windows.py:_choose",
        "{(tenant, key): count for tenant,",
        '{("", key): count for tenant,',
        f"{WINDOWS}test_a_key_is_its_tenants_and_two_with_the_same_share_no_limit",
    ),
    mutant(
        "keys: counted in one queue only",
        "jobs/windows.py:_choose",
        "Job.objects.filter(HELD).exclude",
        "Job.objects.filter(HELD, queue=row.name).exclude",
        f"{WINDOWS}test_a_key_counts_in_all_queues_together",
    ),
    mutant(
        "rate: draws from a bucket that another has emptied",
        "jobs/limits.py:draw",
        ", tokens=before.tokens, tokens_at=before.at, dispatched=queue.dispatched)",
        ")",
        f"{LIMITS}test_a_draw_from_a_bucket_that_changed_since_it_was_read_gets_nothing",
    ),
    mutant(
        "rate: a clock set back makes tokens",
        "jobs/buckets.py:refilled",
        "return Bucket(min(bucket.tokens, rate.burst), now)",
        "return Bucket(rate.burst, now)",
        f"{LIMITS}test_a_clock_set_back_makes_no_tokens_and_does_not_stop_the_bucket",
    ),
    mutant(
        "rate: a token made twice from the same time",
        "jobs/buckets.py:refilled",
        "bucket.at + spent * MICROSECOND",
        "bucket.at + (spent - 1) * MICROSECOND",
        f"{LIMITS}test_a_token_is_never_made_twice_from_the_same_time",
    ),
    mutant(
        "turns: a flood of one tenant before the others",
        "jobs/turns.py:_bid",
        "return seats.held[head.tenant], -head.priority",
        "return 0, -head.priority",
        f"{TURNS}test_tenants_take_turns_although_one_came_first_with_many",
        f"{WINDOWS}test_a_flood_of_one_tenant_does_not_delay_the_single_job_of_another",
    ),
    mutant(
        "turns: a stream of urgent jobs stops the others",
        "jobs/turns.py:choose",
        "if reserved else None",
        "if False else None",
        f"{TURNS}test_every_tenth_place_is_the_longest_overdues_whatever_the_others_priority",
        f"{WINDOWS}test_a_low_job_overdue_for_long_gets_its_place_in_a_stream_of_urgent_ones",
    ),
    mutant(
        "pause: does not wait for the dispatcher at work",
        "jobs/pauses.py:pause",
        "queues.lock_all()",
        "pass",
        f"{ACTORS}test_a_pause_takes_back_what_a_dispatcher_at_work_has_marked",
    ),
    mutant(
        "pause: what is queued goes on",
        "jobs/pauses.py:pause",
        'return ledger.release(Job.objects.filter(**{f"{kind}__in": names}))',
        "return 0",
        f"{PAUSES}test_what_is_queued_goes_back_and_what_runs_runs_on",
        f"{ACTORS}test_a_pause_takes_back_what_a_dispatcher_at_work_has_marked",
    ),
    mutant(
        "pause: never ends",
        "jobs/pauses.py:in_force",
        "Q(until__isnull=True) | Q(until__gt=now or Now())",
        "Q()",
        f"{PAUSES}test_a_pause_ends_by_itself",
    ),
]

MUTANTS = [*FILL]
