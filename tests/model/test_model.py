"""With all its guards no order of events does harm; without one, exactly the harm it is there to prevent.

A guard that nothing depends on any more, and a checker that has gone blind, fail here.
"""

from pathlib import Path

import pytest

from jobs import heartbeat, leases
from notifications import guarantees
from tests.model import model
from tests.model.model import GUARDS, LOST, SENT_ANYWAY, STUCK, TWICE, explore

BUSY_DAY = ("slow", "cancel", "withdraw")

# Without: under these faults: this goes wrong.
BROKEN: list[tuple[set[str], tuple[str, ...], set[str]]] = [
    ({"lease of messages"}, ("kill",), {STUCK}),
    ({"lease of messages"}, ("lose",), {STUCK}),
    ({"seen at rescue"}, ("slow",), {model.TAKEN}),
    ({"cancel wins at back_off"}, ("cancel",), {STUCK}),
    ({"cancel wins at rescue"}, ("kill", "cancel"), {STUCK}),
    ({"honest cancel"}, ("cancel",), {model.AFTER_CANCEL}),
    ({"fence: planned"}, ("withdraw",), {model.NEW_SEND}),
    ({"fence: planned"}, ("slow",), {LOST, SENT_ANYWAY}),
    ({"fence: booked"}, ("withdraw",), {model.NEW_SEND}),
    ({"quarantine"}, ("slow", "cancel"), {model.AFTER_CANCEL}),
    ({"intent's token"}, ("slow",), {LOST}),
    ({"sending is a doubt"}, ("kill",), {TWICE, SENT_ANYWAY}),
    ({"unknown is a doubt"}, (), {TWICE, SENT_ANYWAY}),
    ({"doubt is counted"}, ("slow",), {LOST}),
    ({"own row at withdrawal"}, ("withdraw",), {model.NEW_SEND}),
    ({"honest withdrawal"}, ("withdraw",), {model.AFTER_WITHDRAWAL}),
    ({"settle"}, ("kill",), {STUCK}),
    # Two that cover each other: see COVERED for the one alone.
    ({"claim from queued", "fence: planned"}, (), {TWICE, LOST, SENT_ANYWAY}),
    ({"token at finish", "fence: planned"}, ("slow",), {TWICE, LOST, SENT_ANYWAY}),
    ({"token at finish", "sending is a doubt"}, ("slow",), {TWICE, LOST, SENT_ANYWAY}),
    ({"fence: held", "sending is a doubt"}, ("slow",), {TWICE, LOST, SENT_ANYWAY}),
    ({"fence: held", "quarantine"}, ("slow", "cancel"), {model.AFTER_CANCEL}),
    ({"flag at dispatch", "cancel wins at back_off"}, ("cancel",), {model.ANOTHER}),
    ({"flag at dispatch", "cancel wins at rescue"}, ("kill", "cancel"), {model.ANOTHER}),
]

# Without this one nothing happens to a reminder, because of these others. They hold for jobs of any kind.
COVERED = {
    "claim from queued": "fence: planned",
    "token at finish": "fence: planned, sending is a doubt",
    "fence: held": "quarantine, sending is a doubt",
    "flag at dispatch": "cancel wins at back_off, cancel wins at rescue",
}


def test_with_all_guards_nothing_goes_wrong_and_everything_comes_to_rest() -> None:
    states, wrongs = explore()
    assert wrongs == {}
    assert states > 50_000, "the model has become smaller: does it still show what happens?"


@pytest.mark.parametrize(("off", "faults", "expected"), BROKEN, ids=lambda value: "+".join(sorted(value)) or "nothing")
def test_without_a_guard_the_expected_harm_is_found(off: set[str], faults: tuple[str, ...], expected: set[str]) -> None:
    assert set(explore(off, faults)[1]) == expected


@pytest.mark.parametrize("guard", COVERED)
def test_a_guard_that_others_cover_does_no_harm_when_it_is_missing_alone(guard: str) -> None:
    assert explore({guard}, BUSY_DAY)[1] == {}


@pytest.mark.parametrize(
    ("guard", "faults", "wrong", "way"),
    [
        ("lease of messages", ("kill",), STUCK, "dispatch > kill dispatcher"),
        (
            "quarantine",
            ("slow", "cancel"),
            model.AFTER_CANCEL,
            "dispatch > publish > claim > look#1 > check#1 > intend#1 > lease over, though it lives > rescue > "
            "cancel job > begin#1",
        ),
        (
            "seen at rescue",
            ("slow",),
            model.TAKEN,
            "dispatch > publish > claim > lease over, though it lives > rescuer reads > beat > rescuer writes",
        ),
    ],
)
def test_the_shortest_way_to_harm_is_the_one_that_is_known(guard: str, faults: list[str], wrong: str, way: str) -> None:
    assert " > ".join(explore({guard}, faults)[1][wrong]) == way


def test_every_guard_and_every_kind_of_harm_is_shown() -> None:
    assert set().union(*(off for off, _, _ in BROKEN)) == set(GUARDS)
    harms = {value for name, value in vars(model).items() if name.isupper() and isinstance(value, str)}
    assert set().union(*(expected for _, _, expected in BROKEN)) == harms
    alone = {guard for off, _, _ in BROKEN for guard in off if len(off) == 1}
    assert alone == GUARDS.keys() - COVERED.keys()


def test_whoever_is_slow_enough_to_be_rescued_is_slower_than_the_quarantine() -> None:
    """The model's one assumption about time: a lease has at least this much left when the fence is asked."""
    assert leases.LEASE - heartbeat.INTERVAL > guarantees.QUARANTINE


@pytest.mark.parametrize("place", sorted({place for places in GUARDS.values() for place in places.split(", ")}))
def test_a_guard_is_where_the_model_says(place: str) -> None:
    path, function = place.split(":")
    assert f"def {function}(" in (Path(__file__).parents[2] / path).read_text()
