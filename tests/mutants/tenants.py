"""Between tenants: no row of one meets a row of another, and nobody sees or changes what is of another."""

from tests.mutants.mutant import mutant

FORMS = "tests/notifications/test_tenant_forms.py::"
ROWS, PAGES, MATRIX = (
    f"tests/notifications/test_{name}.py::" for name in ("tenants", "tenant_pages", "permission_matrix")
)
FILES = "tests/notifications/test_tenant_files.py::"
TENANCY, BULK = "config/theme/tenancy.py", "notifications/admin/bulk_changes.py"
SAME = f"{PAGES}test_every_page_is_the_same_with_and_without_another_tenant"
FIGURES = f"{PAGES}test_the_figures_of_the_dashboard_are_those_of_ones_tenant"

MUTANTS = [
    mutant(
        "tenant: a row of another",
        "notifications/tenants.py:shared_by",
        "if tenant is not None and row.tenant != tenant:",
        "if False:",
        f"{ROWS}test_rows_of_two_tenants_do_not_meet",
    ),
    mutant(
        "tenant: another's rule plans",
        "notifications/planning.py",
        "if tenants.speaks_to(rule, anchor.tenant)",
        "",
        f"{ROWS}test_a_tenants_own_rule_makes_messages_of_its_own_bookings_only",
    ),
    mutant(
        "tenant: a changed rule looks at all",
        "notifications/reconciler.py:concerned",
        "rows.filter(tenant=rule.tenant) if rule.tenant else rows",
        "rows",
        f"{ROWS}test_a_changed_rule_plans_its_tenants_bookings_anew_and_looks_at_no_others",
    ),
    mutant(
        "tenant: another's words",
        "notifications/wording.py:words",
        ', tenant__in={"", tenant})',
        ")",
        f"{ROWS}test_a_tenants_words_come_before_those_of_all",
        f"{ROWS}test_the_words_of_another_tenant_are_never_sent",
    ),
    mutant(
        "tenant: a reminder's job is nobody's",
        "notifications/reminders.py:job_for",
        ', "tenant": delivery.tenant}',
        "}",
        f"{ROWS}test_a_paused_tenants_reminders_wait_and_the_others_go_out",
        f"{ROWS}test_what_is_made_for_a_customer_is_of_their_tenant",
    ),
    mutant(
        "tenant: the next channel's is nobody's",
        "notifications/fallbacks.py:plan_next",
        "tenant=delivery.tenant,",
        "",
        f"{ROWS}test_the_next_channel_is_of_the_same_tenant",
    ),
    mutant(
        "tenant: a change to many is of all",
        "notifications/selections.py:Selection.bookings",
        ", tenant=self.tenant, **said)",
        ", **said)",
        f"{ROWS}test_a_change_to_many_is_of_one_tenant",
    ),
    mutant(
        "tenant: a file changes another's bookings",
        "notifications/imports/upserts.py:Upsert._stored",
        "tenant=self.tenant, ",
        "",
        f"{FILES}test_a_file_of_a_tenant_finds_its_own_rows_only",
    ),
    mutant(
        "tenant: a file changes another's customers",
        "notifications/imports/customers.py:_AddressBook.__init__",
        ", tenant=tenant)",
        ")",
        f"{FILES}test_a_file_of_a_tenant_finds_its_own_rows_only",
    ),
    mutant(
        "tenant: a payment for another's booking",
        "notifications/imports/upserts.py:Payments.write",
        "tenant=self.tenant, ",
        "",
        f"{FILES}test_a_payment_of_a_file_is_for_a_booking_of_its_tenant",
    ),
    mutant(
        "scope: pages show all tenants",
        "jobs/scopes.py:Scope.of_tenants",
        "if self.tenants is None:",
        "if True:",
        SAME,
        f"{MATRIX}test_a_change_to_many_is_called_off_by_its_own_tenants_people[Manager-another]",
    ),
    mutant(
        "scope: choices of all tenants",
        f"{TENANCY}:OnlyTheirs.formfield_for_foreignkey",
        "if isinstance(page, OfTenants):",
        "if False:",
        f"{FORMS}test_nobody_books_for_another_tenants_customer",
    ),
    mutant(
        "scope: filters name all tenants' rules",
        f"{TENANCY}:OfOnesTenants.field_choices",
        "if tenants_of(request) is None:",
        "if True:",
        SAME,
    ),
    mutant(
        "scope: what all share is changed by one",
        f"{TENANCY}:OfTenants._is_theirs",
        "not (self.shared and obj is not None and not obj.tenant and tenants_of(request) is not None)",
        "True",
        f"{MATRIX}test_what_all_tenants_share_is_for_their_people_to_look_at[another-reminderrule]",
    ),
    mutant(
        "scope: a new row is of whom one says",
        f"{TENANCY}:OfTenants.get_form",
        "if only is not None:",
        "if False:",
        f"{FORMS}test_a_new_customer_is_of_the_tenant_of_who_makes_it[tenants1-False-two-one]",
    ),
    mutant(
        "scope: many of another tenant",
        f"{BULK}:_form",
        'form.fields["tenant"].disabled = True',
        "pass",
        f"{FORMS}test_a_change_to_many_is_made_of_ones_own_bookings_whatever_is_posted",
    ),
    mutant(
        "scope: calls off another's",
        f"{BULK}:BulkChangeAdmin.call_off",
        "self.get_queryset(request)",
        "BulkChange.objects",
        f"{MATRIX}test_a_change_to_many_is_called_off_by_its_own_tenants_people[Manager-another]",
    ),
    mutant(
        "scope: all doubts",
        "notifications/admin/deliveries.py:DeliveryAdmin.doubts_view",
        "within(request, doubts.in_doubt())",
        "doubts.in_doubt()",
        SAME,
    ),
    mutant(
        "scope: the day of all",
        "notifications/admin/days.py:OfADay.day_view",
        "within(request, Booking.objects.all())",
        "Booking.objects.all()",
        SAME,
    ),
    mutant(
        "scope: an address of another's customer",
        "notifications/admin/consents.py:SuppressionAdmin.get_queryset",
        'return rows.filter(pk__in=consent.barred(within(request, Customer.objects.all())).values("pk"))',
        "return rows",
        f"{PAGES}test_the_address_that_two_tenants_share_is_seen_by_both_and_lifted_by_neither",
    ),
    mutant(
        "scope: lifts what holds for others",
        "notifications/admin/consents.py:SuppressionAdmin.has_delete_permission",
        "tenants_of(request) is None and",
        "",
        f"{PAGES}test_the_address_that_two_tenants_share_is_seen_by_both_and_lifted_by_neither",
    ),
    mutant(
        "scope: the figures of all",
        "config/dashboard/page.py:_now",
        "messages.today(midnight, scope.tenants)",
        "messages.today(midnight)",
        FIGURES,
    ),
    mutant(
        "scope: what one may not do is told by whether it is there",
        "config/theme/verbs.py:WithVerbs.verb_view",
        "raise PermissionDenied row: Any",
        "pass\n        row: Any",
        f"{MATRIX}test_role_by_action_by_tenant[booking-confirm-nobody-another]",
    ),
]
