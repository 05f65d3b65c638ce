"""A race, as docs/races.md tells of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Race:
    number: int
    race: str
    harm: str
    guard: str
    mutants: tuple[str, ...] = ()  # their names; none: see `guard`
