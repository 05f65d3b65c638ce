"""ARCHITECTURE.md's table of Celery's options: complete by Celery's own account, and with a test for each row."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from celery import Celery, Task
from celery.app import autoretry
from celery.app.amqp import AMQP
from celery.app.task import extract_exec_options  # type: ignore[attr-defined]
from kombu import Producer

from jobs import options, retries

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "ARCHITECTURE.md").read_text().partition("## Celery's options on a durable job")[2]
TESTS = sorted((ROOT / "tests" / "stack" / "options").glob("test_*.py"))
INTERNAL = {"self", "create_sent_event", "now", "timezone", "callbacks", "errbacks"}  # of as_task_v2, from others


def rows() -> list[tuple[str, str, str]]:
    """(option, what it does, test), as they stand in the page."""
    lines = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    return [(option, what, test) for option, what, test in lines if test.strip() != "test"]


def of_options() -> list[ast.FunctionDef]:
    nodes = [node for file in TESTS for node in ast.parse(file.read_text()).body]
    return [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]


def words(cell: str) -> set[str]:
    return {word for code in re.findall(r"`([^`]+)`", cell) for word in re.findall(r"\w+", code)}


NAMED = {word for option, _, _ in rows() for word in words(option)}


def parameters(*functions: object) -> set[str]:
    signatures = [inspect.signature(function).parameters.values() for function in functions]  # type: ignore[arg-type]
    return {p.name for some in signatures for p in some if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)} - INTERNAL


def documented() -> set[str]:
    """The arguments that the text of apply_async explains."""
    return set(re.findall(r"^ {4}(\w+) \(", inspect.getdoc(Task.apply_async) or "", re.MULTILINE))


def attributes() -> set[str]:
    values = {name for name, value in vars(Task).items() if not name.startswith("_") and not callable(value)}
    plain = {name for name in values if not isinstance(vars(Task)[name], property | classmethod)}
    decorator = parameters(Celery._task_from_fun) - {"fun"}
    tried_again = set(re.findall(r"\w*retry_\w+|autoretry_for", inspect.getsource(autoretry.add_autoretry_behaviour)))
    sent = set(inspect.getclosurevars(extract_exec_options).nonlocals["attrs"])
    return plain | decorator | {name for name, _ in Task.from_config} | sent | tried_again


def test_celery_was_asked_for_everything() -> None:
    assert {"countdown", "link_error", "confirm_timeout", "chord"} <= parameters(Task.apply_async, Celery.send_task) | (
        documented() | parameters(Producer.publish)
    )
    assert {"acks_late", "compression", "retry_jitter", "pydantic_strict", "autoretry_for"} <= attributes()


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(parameters(Task.apply_async, Celery.send_task), id="apply_async"),
        pytest.param(documented(), id="its documentation"),
        pytest.param(parameters(AMQP.as_task_v2), id="the message"),
        pytest.param(parameters(Producer.publish), id="publishing"),
        pytest.param(parameters(Task.retry), id="retry"),
        pytest.param(attributes(), id="attributes"),
        pytest.param(set(options.REFUSED), id="refused in a call"),
        pytest.param(retries.COLUMNS | retries.KEPT, id="changed by a retry"),
    ],
)
def test_no_option_is_missing_from_the_table(found: set[str]) -> None:
    assert found - NAMED - {"add_autoretry_behaviour", "retry_for"} == set()


def test_every_row_names_tests_that_exist_and_every_test_has_a_row() -> None:
    existing = {test.name for test in of_options()}
    named = [words(test) for _, _, test in rows()]
    assert all(named)
    assert set().union(*named) == existing


def test_every_test_of_the_table_runs_against_the_worker() -> None:
    assert all("worker" in {argument.arg for argument in test.args.args} for test in of_options())
