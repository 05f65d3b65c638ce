"""/templates: the owner's words for messages, in Liquid, by channel and language. Tests go out from the admin only."""

from datetime import datetime
from typing import Annotated, Any

from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.api.callers import Caller, caller, needs
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import Problem, invalid
from notifications import texts, trials
from notifications.api import reach
from notifications.api.fields import ChannelName, Id, In, Locale, StrictId, Tenant
from notifications.api.refusals import refusing
from notifications.api.rows import columns, listed
from notifications.channels import segments
from notifications.models import Channel, MessageTemplate

router = Router(tags=["templates"])

Liquid = Annotated[str, Field(max_length=100_000, examples=["Dear {{ customer.name }}, see you {{ starts }}."])]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$", examples=["booking_upcoming"])]
CLASH = "There are words for this message, channel and locale. Change those (PUT)."


class WordsIn(In):
    subject: Liquid = Field("", description="one line; title of an in-app message")
    text: Liquid
    html: Liquid = Field("", description="email only")


class TemplateIn(WordsIn):
    tenant: Tenant = None
    message: Name = Field(description="as in the rule")
    channel: ChannelName
    locale: Locale = "en"


class TemplateOut(Schema):
    id: int
    tenant: str = Field(description="for this tenant alone; empty: for all")
    message: str
    channel: ChannelName
    locale: str
    subject: str
    text: str
    html: str
    changed_at: datetime


class About(In):
    """With which booking or payment, and with which other words, not saved."""

    booking: StrictId | None = None
    payment: StrictId | None = None
    subject: Liquid | None = None
    text: Liquid | None = None
    html: Liquid | None = None


class WrittenOut(Schema):
    """As the customer would read it. Its links do nothing in the customer's name."""

    subject: str
    text: str
    html: str
    sms_parts: int | None = Field(description="of an SMS: how many it costs")


class Filters(In):
    message: str = Field("", max_length=100)
    channel: ChannelName | None = None
    locale: str = Field("", max_length=10)
    tenant: str | None = Field(None, max_length=100, description="empty: those of all tenants")


def templates_of(who: Caller) -> Any:
    return who.of_tenant(MessageTemplate.objects.all(), shared=True)


@router.get("/templates", auth=needs("templates:read"), response=Page[TemplateOut])
def list_templates(request: HttpRequest, filters: Query[Filters], limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Without a template, the words that come with Punctual are used."""
    said = {name: value for name, value in filters.model_dump(exclude={"tenant"}).items() if value}
    if filters.tenant is not None:
        said["tenant"] = filters.tenant
    return listed(page(templates_of(caller(request)).filter(**said), limit, cursor, ("pk",)))


@router.post("/templates", auth=needs("templates:write"), response={201: TemplateOut})
def create_template(request: HttpRequest, body: TemplateIn, response: HttpResponse) -> Any:
    """Tried with an example first: a placeholder that is not known is refused with its name."""
    who = caller(request)
    who.permit("notifications.add_messagetemplate")
    tenant = reach.tenant_for(who, body.tenant, "template")
    template = MessageTemplate(**body.model_dump(exclude={"tenant"}), tenant=tenant)
    try:
        texts.add(template)
    except IntegrityError as exc:
        raise Problem(409, CLASH) from exc
    response["Location"] = f"/api/v1/templates/{template.pk}"
    return Status(201, columns(template))


@router.get("/templates/{template_id}", auth=needs("templates:read"), response=TemplateOut)
def get_template(request: HttpRequest, template_id: Id) -> Any:
    """The words as they are kept; `/preview` fills them in."""
    return columns(reach.one(templates_of(caller(request)), template_id, "template"))


@router.put("/templates/{template_id}", auth=needs("templates:write"), response=TemplateOut)
def put_template(request: HttpRequest, template_id: Id, body: WordsIn) -> Any:
    """All of its words, anew. What waits will say them."""
    return columns(texts.change(_to_change(request, template_id), **body.model_dump()))


@router.delete("/templates/{template_id}", auth=needs("templates:write"), response={204: None})
def delete_template(request: HttpRequest, template_id: Id) -> Any:
    """The words that come with Punctual, or those for all tenants, are used again."""
    caller(request).permit("notifications.delete_messagetemplate")
    texts.drop(_to_change(request, template_id))
    return Status(204, None)


@router.post("/templates/{template_id}/preview", auth=needs("templates:read"), response=WrittenOut)
def preview_template(request: HttpRequest, template_id: Id, body: About) -> Any:
    """With a real booking or payment. Needs the scope to read it, and customers:reveal: the words name the customer."""
    who = caller(request)
    template = reach.one(templates_of(who), template_id, "template")
    if (body.booking is None) == (body.payment is None):
        raise invalid("booking", "name a booking or a payment, not both")
    kind, rows = ("booking", reach.bookings) if body.booking else ("payment", reach.payments)
    who.need(f"{kind}s:read")
    reach.need_reveal(who, kind, "the words name the customer")
    anchor = reach.referred(rows(who).select_related("customer"), body.booking or body.payment, kind)
    for name in texts.PARTS:
        if (own := getattr(body, name)) is not None:
            setattr(template, name, own)
    with refusing("text"):
        said = trials.written(template, anchor)
    parts = segments.count(said.text) if template.channel == Channel.SMS else None
    return {"subject": said.subject, "text": said.text, "html": said.html, "sms_parts": parts}


def _to_change(request: HttpRequest, pk: int) -> MessageTemplate:
    who = caller(request)
    found: MessageTemplate = reach.own(who, reach.one(templates_of(who), pk, "template"), "template")
    return found
