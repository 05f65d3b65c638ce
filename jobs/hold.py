"""Whether the database's clock can be believed: arithmetic only, neither database nor clock is touched here.

Used by `ticks`. A witness (one in each process that ticks) compares how far the database's clock advanced with how far
a steady one did. When they part by more than `TOLERANCE`, somebody set the clock: dispatch is held, because jumping
ahead sends the next hour's work at once and jumping back sends nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

TOLERANCE = timedelta(seconds=30)
DRIFT = 500e-6  # seconds a second: the most that an undisciplined clock is off without anybody setting it
AGREEING = 3  # looks in a row at a clock that is back where it belongs, before it is believed again
PATIENCE = timedelta(minutes=5)  # a clock that keeps its new time for so long is believed: a virtual machine slept


@dataclass(frozen=True)
class Reading:
    """One look at both clocks."""

    steady: float  # seconds of a clock that nobody can set
    now: datetime  # the database's clock
    latency: float = 0.0  # seconds between asking the database and its answer


class Verdict(Enum):
    FINE = auto()
    HOLD = auto()  # the clock jumped just now
    HELD = auto()  # it jumped before and is not believed yet
    RELEASE = auto()  # believed again


def jump(before: Reading, after: Reading) -> timedelta:
    """How much further the database's clock went than the steady one; zero if delay and drift can explain it."""
    elapsed = after.steady - before.steady
    parted = (after.now - before.now) - timedelta(seconds=elapsed)
    explained = TOLERANCE + timedelta(seconds=before.latency + after.latency + elapsed * DRIFT)
    return parted if abs(parted) > explained else timedelta()


class Witness:
    """One process's memory of the clocks."""

    def __init__(self) -> None:
        self.reason = ""  # of the latest HOLD or RELEASE
        self._last: Reading | None = None
        self._before: Reading | None = None  # the last reading before the jump that is not resolved yet
        self._agreed = 0
        self._steady_since = 0.0  # since when the database's clock has run evenly, as far as we saw

    def look(self, reading: Reading, *, ticked_at: datetime | None, held: bool) -> Verdict:
        """Judge a reading. `ticked_at` is when anybody last ticked, by the database's clock of then."""
        last, self._last = self._last, reading
        parted = jump(last, reading) if last else timedelta()
        if parted or last is None:
            self._steady_since = reading.steady
        if held:
            return self._wait(last if parted else None, reading)
        if self._before and (not parted or not jump(self._before, reading)):
            self._before = None  # somebody released it, or the clock is back
            return Verdict.FINE
        if parted:
            return self._hold(last, f"the database's clock jumped by {_said(parted)}")
        if ticked_at and ticked_at - reading.now > TOLERANCE:  # seen by a process that has just started, too
            return self._hold(None, f"the database's clock went back by {_said(ticked_at - reading.now)} or more")
        return Verdict.FINE

    def _hold(self, before: Reading | None, reason: str) -> Verdict:
        self._before, self._agreed, self.reason = before, 0, reason
        return Verdict.HOLD

    def _wait(self, before: Reading | None, reading: Reading) -> Verdict:
        self._before = self._before or before
        back = self._before is not None and not jump(self._before, reading)
        self._agreed = self._agreed + 1 if back else 0
        if self._agreed >= AGREEING:
            self.reason = "the clock is back where it was"
        elif reading.steady - self._steady_since >= PATIENCE.total_seconds():
            self.reason = f"the clock has run evenly for {_said(PATIENCE)}"
        else:
            return Verdict.HELD
        self._before, self._agreed = None, 0
        return Verdict.RELEASE


def _said(span: timedelta) -> str:
    return f"{span.total_seconds():+.0f} s" if span < timedelta() else f"{span.total_seconds():.0f} s"
