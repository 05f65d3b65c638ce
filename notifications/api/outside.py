"""What providers and mail programs call, for the description of the API: views of `callbacks` and `pages`, not doubled.

Used by `config/api.py`. Addresses are those of the views, so that one that moves cannot be described wrongly.
"""

from typing import Any

from django.urls import reverse

from notifications.callbacks.generic import Body

TOKEN = {"name": "token", "in": "path", "required": True, "schema": {"type": "string"}, "description": "signed"}
MARK = "TOKEN"  # stands for a parameter while an address is made
SIGNED = [
    {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
]


def paths() -> dict[str, Any]:
    """In OpenAPI's form."""
    event = {
        "operationId": "receive_event",
        "summary": "A provider tells what became of a message",
        "description": "Signed as Standard Webhooks describes it, with CALLBACK_SECRET. Sent twice, it counts once.",
        "tags": ["callbacks"],
        "security": [],
        "parameters": SIGNED,
        "requestBody": {"content": {"application/json": {"schema": _schema()}}, "required": True},
        "responses": {
            "204": {"description": "Recorded"},
            "400": {"description": "Not an event"},
            "403": {"description": "Not signed"},
        },
    }
    return {
        reverse("callbacks:generic"): {"post": event},
        reverse("unsubscribe", args=[MARK]).replace(MARK, "{token}"): _page("unsubscribe", "wants no more messages"),
        reverse("confirm", args=[MARK]).replace(MARK, "{token}"): _page("confirm", "will come"),
    }


def _page(name: str, says: str) -> dict[str, Any]:
    found = {"200": {"description": "A page"}, "404": {"description": "The link is not whole"}}
    usual = {"tags": ["pages behind links"], "security": [], "parameters": [TOKEN]}
    gone = {"409": {"description": "The booking was moved or called off"}} if name == "confirm" else {}
    return {
        "get": usual
        | {
            "operationId": f"show_{name}",
            "summary": "Shows, and changes nothing",
            "description": "A page for a person, in their language.",
            "responses": found,
        },
        "post": usual
        | {
            "operationId": f"do_{name}",
            "summary": f"The customer {says}",
            "description": "Sent twice, it counts once.",
            "responses": found | gone,
        },
    }


def _schema() -> dict[str, Any]:
    """In one piece: components are ninja's."""
    schema = Body.model_json_schema()
    data = schema.pop("$defs")["Data"]
    schema["properties"]["data"] = data
    return schema
