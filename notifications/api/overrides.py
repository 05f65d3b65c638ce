"""/rules/{id}/overrides: what is different about a rule for a customer, a service or a location.

A tenant may override what all tenants share, for itself alone.
"""

from typing import Any

from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.api.callers import Caller, caller, needs
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import Problem, invalid
from notifications import rules
from notifications.api import reach
from notifications.api.fields import ChannelName, Channels, Clock, Id, In, Seconds, StrictId, Tenant, WallTime, seconds
from notifications.api.rows import columns, listed
from notifications.api.rules import Offset, RulePreview, Switch, Trying, looked, rules_of, told_of, typed
from notifications.models import ReminderRule, RuleOverride

router = Router(tags=["rules"])

CLASH = "There is an override for the same customer, service and location. Change that one."


class Different(In):
    """What is null or empty stays as the rule says."""

    active: Switch | None = None
    offset: Offset | None = None
    at_time: Clock | None = None
    channels: Channels | None = None
    message: str = Field("", max_length=100)
    useful_for: Seconds | None = None


class OverrideIn(Different):
    tenant: Tenant = None
    customer: StrictId | None = Field(None, description="the customer's id")
    service: str = Field("", max_length=200)
    location: str = Field("", max_length=300)


class OverrideOut(Schema):
    id: int
    rule: int
    tenant: str = Field(description="for this tenant alone; empty: for all")
    customer: int | None
    service: str
    location: str
    active: bool | None
    offset: int | None = Field(description="seconds")
    at_time: WallTime | None
    channels: list[ChannelName] | None
    message: str
    useful_for: int | None = Field(description="seconds")


@router.get("/rules/{rule_id}/overrides", auth=needs("rules:read"), response=Page[OverrideOut])
def list_overrides(request: HttpRequest, rule_id: Id, limit: Limit = 50, cursor: Cursor = "") -> Any:
    """What is different about the rule for a customer, a service or a location."""
    who = caller(request)
    rule = reach.one(rules_of(who), rule_id, "rule")
    return listed(page(_overrides(who, rule), limit, cursor, ("pk",)), _told)


@router.post("/rules/{rule_id}/overrides", auth=needs("rules:write"), response={201: OverrideOut, 200: RulePreview})
def create_override(
    request: HttpRequest, rule_id: Id, body: OverrideIn, trying: Query[Trying], response: HttpResponse
) -> Any:
    """For a customer, a service, a location, or several of these together. With dry_run: what it would do."""
    who = caller(request)
    who.permit("notifications.add_ruleoverride")
    rule = reach.one(rules_of(who), rule_id, "rule")
    customer = reach.referred(reach.customers(who), body.customer, "customer")
    override = RuleOverride(rule=rule, customer=customer, **typed(body.model_dump(exclude={"customer", "tenant"})))
    override.tenant = _tenant(who, body, rule, customer)
    rules.check_override(override)
    if (preview := _tried(rule, override, trying)) is not None:
        return Status(200, preview)
    response["Location"] = f"/api/v1/rules/{rule.pk}/overrides"
    return Status(201, _put(override))


@router.put("/rules/{rule_id}/overrides/{override_id}", auth=needs("rules:write"), response=OverrideOut | RulePreview)
def change_override(request: HttpRequest, rule_id: Id, override_id: Id, body: Different, trying: Query[Trying]) -> Any:
    """All that is different, anew. For somebody else: another override. With dry_run: what it would do."""
    who = caller(request)
    who.permit("notifications.change_ruleoverride")
    rule, override = _found(who, rule_id, override_id)
    for name, value in typed(body.model_dump()).items():
        setattr(override, name, value)
    rules.check_override(override)
    return _tried(rule, override, trying) or _put(override)


@router.delete(
    "/rules/{rule_id}/overrides/{override_id}", auth=needs("rules:write"), response={204: None, 200: RulePreview}
)
def drop_override(request: HttpRequest, rule_id: Id, override_id: Id, trying: Query[Trying]) -> Any:
    """The rule applies as it is. With dry_run: what that would do."""
    who = caller(request)
    who.permit("notifications.delete_ruleoverride")
    rule, override = _found(who, rule_id, override_id)
    if (preview := _tried(rule, override, trying, dropped=True)) is not None:
        return Status(200, preview)
    rules.drop(override)
    return Status(204, None)


def _overrides(who: Caller, rule: ReminderRule) -> Any:
    return who.of_tenant(RuleOverride.objects.filter(rule=rule), shared=True)


def _found(who: Caller, rule_id: int, override_id: int) -> tuple[ReminderRule, RuleOverride]:
    """To be changed."""
    rule: ReminderRule = reach.one(rules_of(who), rule_id, "rule")
    override: RuleOverride = reach.own(who, reach.one(_overrides(who, rule), override_id, "override"), "override")
    return rule, override


def _tenant(who: Caller, body: OverrideIn, rule: ReminderRule, customer: Any) -> str:
    """Of a customer's override the customer's, of a tenant's rule the rule's; else as anything that is shared."""
    known = customer.tenant if customer else rule.tenant or None
    tenant = reach.tenant_for(who, known if body.tenant is None else body.tenant, "override")
    if (customer and tenant != customer.tenant) or (rule.tenant and tenant != rule.tenant):
        raise invalid("tenant", "the rule, the customer and the override are not of one tenant")
    return tenant


def _tried(rule: ReminderRule, override: RuleOverride, trying: Trying, *, dropped: bool = False) -> Any:
    """What is to be answered to a dry run; None: go on."""
    if not (trying.dry_run or trying.seen):
        return None
    preview = looked(rules.after(rule, override, dropped=dropped), trying)
    return told_of(preview) if trying.dry_run else None


def _put(override: RuleOverride) -> dict[str, Any]:
    try:
        return _told(rules.put(override))
    except IntegrityError as exc:
        raise Problem(409, CLASH) from exc


def _told(row: RuleOverride) -> dict[str, Any]:
    return columns(row) | {name: seconds(getattr(row, name)) for name in ("offset", "useful_for")}
