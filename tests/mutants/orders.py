"""What people ask of many at once: orders to jobs, changes to bookings, and whose jobs they may see."""

from tests.mutants.mutant import mutant

BULK, SCOPES, CHANGES = "jobs/bulk_orders.py", "jobs/scopes.py", "notifications/admin/bulk_changes.py"
GIVEN, SCOPED, PAGES = "tests/jobs/test_bulk_orders.py::", "tests/jobs/test_scopes.py::", "tests/notifications/"
OUTSIDE = f"{SCOPED}test_what_is_outside_is_not_there"
ONCE = "test_of_two_clicks_that_both_found_nothing_started_one_starts_it"

ORDERS = [
    mutant(
        "order: resumed from its beginning",
        f"{BULK}:chunk",
        "rows = rows.filter(pk__gt=order.after)",
        "pass",
        f"{GIVEN}test_each_job_is_come_to_once_though_it_stays_among_those_that_match",
    ),
    mutant(
        "order: how far it is is not kept with what it did",
        f"{BULK}:chunk",
        'update_fields=["after", "done", "counts", "finished_at"]',
        'update_fields=["done", "counts", "finished_at"]',
        f"{GIVEN}test_each_job_is_come_to_once_though_it_stays_among_those_that_match",
    ),
    mutant(
        "order: jobs that were made after it was shown",
        f"{BULK}:_selected",
        ", created_at__lte=at)",
        ")",
        f"{GIVEN}test_jobs_made_after_it_was_shown_are_not_touched",
    ),
    mutant(
        "order: the jobs of others",
        f"{BULK}:_of_order",
        "Scope.told(order.scope)",
        "Scope()",
        f"{GIVEN}test_an_order_reaches_what_its_scope_holds_and_no_more",
    ),
    mutant(
        "change to many: two clicks, two changes",
        "notifications/bulk.py:start",
        "token=token or uuid4()",
        "token=uuid4()",
        f"{PAGES}test_bulk_pages.py::{ONCE}",
        f"{PAGES}test_planner_interleavings.py::test_a_change_to_many_that_is_asked_for_twice_at_once_is_started_once",
    ),
    mutant(
        "change to many: started without the page's token",
        f"{CHANGES}:BulkChangeAdmin.add_view",
        " or token is None:",
        ":",
        "tests/test_attacks.py::test_a_change_to_many_sent_twice_is_made_once",
    ),
]
SCOPE = [
    mutant("scope: everybody sees all", f"{SCOPES}:Scope.rows", "return rows.filter(wanted)", "return rows", OUTSIDE),
    mutant(
        "scope: all tenants of a queue",
        f"{SCOPES}:Scope.rows",
        "if tenants and tenant:",
        "if False:",
        f"{GIVEN}test_an_order_reaches_what_its_scope_holds_and_no_more",
    ),
    mutant(
        "scope: who has some tenants owns the queue",
        f"{SCOPES}:Scope.owns",
        "not tenants and (not queues or queue in queues)",
        "not queues or queue in queues",
        f"{SCOPED}test_who_has_some_tenants_of_a_queue_does_not_stop_it_for_the_others",
    ),
    mutant(
        "scope: of a user alone, not of his groups",
        f"{SCOPES}:of",
        "Q(user=user.pk) | Q(group__user=user.pk)",
        "Q(user=user.pk)",
        f"{SCOPED}test_scopes_of_groups_and_of_the_user_add_up",
    ),
]

MUTANTS = [*ORDERS, *SCOPE]
