"""The examples are executed: examples/api.http in its order, and the curl commands of docs/api.md."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from jobs.api import keys
from jobs.api.scopes import SCOPES

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]
BLOCKS = (ROOT / "examples" / "api.http").read_text().split("\n###")[1:]
CURLS = re.findall(r"^ {4}(curl (?:.*\\\n)*.*)$", (ROOT / "docs" / "api.md").read_text(), re.M)


@pytest.fixture
def key() -> str:
    return keys.issue("examples", SCOPES)[1]


def ask(method: str, address: str, headers: dict[str, str], body: str) -> Any:
    path = address.removeprefix("{{host}}").removeprefix("http://127.0.0.1:8000")
    kind = headers.pop("Content-Type", "application/json")
    sent: dict[str, Any] = {"data": body, "content_type": kind} if body else {}
    return Client().generic(method, path, headers=headers, **sent)


def filled(text: str, key: str, known: dict[str, Any]) -> str:
    """`{{name.response.body.$.field}}` is of an earlier answer."""
    text = text.replace("{{key}}", key)
    return re.sub(r"\{\{(\w+)\.response\.body\.\$\.(\w+)\}\}", lambda found: str(known[found[1]][found[2]]), text)


def test_the_requests_of_the_file_are_answered_as_it_says(key: str) -> None:
    known: dict[str, Any] = {}
    for block in BLOCKS:
        title, _, rest = block.partition("\n")
        notes = dict(re.findall(r"^# (@name|expect) (\w+)$", rest, re.M))
        request = filled(re.sub(r"^#.*\n", "", rest, flags=re.M), key, known)
        head, _, body = request.strip().partition("\n\n")
        first, *lines = head.splitlines()
        method, _, address = first.partition(" ")
        response = ask(method, address, dict(line.split(": ", 1) for line in lines), body.strip())
        assert response.status_code == int(notes["expect"]), (title, response.content)
        if "@name" in notes:
            known[notes["@name"]] = json.loads(response.content)
    assert len(BLOCKS) > 15


@pytest.mark.parametrize("command", CURLS)
def test_a_curl_command_of_the_page_is_taken(command: str, key: str) -> None:
    words = shlex.split(command.replace("\\\n", " ").replace("$KEY", key))[1:]
    said = {"-X": "GET", "-d": ""}
    headers, address = {}, ""
    while words:
        word = words.pop(0)
        if word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word in said:
            said[word] = words.pop(0)
        else:
            address = word
    body = said["-d"].replace("shop.tasks.send_invoice", "probe.ok").replace('"invoice_id"', '"value"')
    assert ask(said["-X"], address, headers, body).status_code in (200, 201)


def test_there_are_curl_commands() -> None:
    assert CURLS
