"""Other names of durable tasks: those that other systems' programs send, such as EMAIL_SEND or send-email.

Applications register them when they start; the API, `manage.py jobs` and imports ask. Capitals, dashes and underscores
make no difference. A name may come with a reader of its payload: it says what the arguments are here, and which rows
go in with the job. A reader asks itself what its caller may; so a task that only the application calls has a door.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs import registry
from jobs.ids import new_id
from jobs.library.people import Person
from jobs.models import Job
from jobs.payload import PayloadError

if TYPE_CHECKING:
    from jobs.durable import Durable


@dataclass(frozen=True)
class Ask:
    """Whose call it is, and the id that its job will have."""

    pk: UUID
    person: Person
    tenant: str
    known: Any = None  # what was gathered for all calls of its request


@dataclass(frozen=True)
class Meant:
    """The task's own arguments, and the rows that are inserted with its job, or not at all."""

    kwargs: Mapping[str, Any]
    rows: Callable[[Job], Sequence[Any]] | None = None  # for the job as it is stored
    priority: int | None = None  # where the payload says it


Reader = Callable[[dict[str, Any], Ask], Meant]
Gather = Callable[[Sequence[tuple[dict[str, Any], str]], Person], Any]  # payloads with their tenants: `Ask.known`
Gathered = dict[Gather, Any]
Payload = TypeVar("Payload", bound="Theirs")


class Theirs(BaseModel):
    """A payload as others send it. What has no meaning here is refused, and never ignored."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


@dataclass(frozen=True)
class Alias:
    task: str
    reads: Reader | None = None
    gathers: Gather | None = None


_names: dict[str, Alias] = {}


def register(task: str, *names: str, reads: Reader | None = None, gathers: Gather | None = None) -> None:
    """Let `names` mean the task. Raises ValueError for a name that means another one.

    What a reader would look up for each call `gathers` finds for all of a request, with the same statements.
    """
    for name in names:
        if _names.setdefault(_plain(name), Alias(task, reads, gathers)).task != task:
            raise ValueError(f"{name!r} means {_names[_plain(name)].task!r} already.")


def meant(name: str) -> str:
    """The task's own name; what is no alias is given back as it is."""
    known = None if name in registry.names() else _names.get(_plain(name))
    return known.task if known else name


def is_read(name: str) -> bool:
    """Whether the name comes with a reader, which is a door to a task that the application alone calls otherwise."""
    return name not in registry.names() and _plain(name) in _names and _names[_plain(name)].reads is not None


def of(task: str) -> list[str]:
    return sorted(name for name, known in _names.items() if known.task == task)


def gathered(calls: Iterable[tuple[str, Mapping[str, Any], str]], person: Person) -> Gathered:
    """What readers want to know of these calls: their names, payloads and tenants."""
    asked: dict[Gather, list[tuple[dict[str, Any], str]]] = defaultdict(list)
    for name, data, tenant in calls:
        if is_read(name) and (gather := _names[_plain(name)].gathers):
            asked[gather].append((dict(data), tenant))
    return {gather: gather(found, person) for gather, found in asked.items()}


def job(
    kind: "Durable",
    name: str,
    args: Sequence[Any],
    data: Mapping[str, Any],
    person: Person,
    known: Gathered | None = None,
    **options: Any,
) -> Job:
    """The row of a call of `kind` by that name, not yet inserted. Raises as `Durable.job`, and PermissionDenied.

    `known` is what was gathered for this call and others.
    """
    if not is_read(name):
        return kind.job(args, data, **options)
    if args:
        raise TypeError(f"{name} takes its arguments by name")
    alias, tenant = _names[_plain(name)], str(options.get("tenant") or "")
    read: Any = alias.reads
    if alias.gathers and known is None:
        known = gathered([(name, data, tenant)], person)
    ask = Ask(new_id(), person, tenant, known[alias.gathers] if known and alias.gathers else None)
    said: Meant = read(dict(data), ask)
    if options.get("priority") is None:
        options["priority"] = said.priority
    made = kind.job((), said.kwargs, task_id=ask.pk, **options)
    made.beside = said.rows
    return made


def checked(shape: type[Payload], data: dict[str, Any], task: str) -> Payload:
    """The payload in its shape. Raises PayloadError, which names the argument and the task that it is for."""
    try:
        return shape.model_validate(data)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        names = ", ".join(sorted(shape.model_fields))
        why = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
        raise PayloadError(f"Argument {where or 'data'}: {why}. {task} is asked by {names}.", where) from None


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")
