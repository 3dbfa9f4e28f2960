"""What is wrong at the moment, told once when it begins and once when it is over."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from time import monotonic


class Severity(IntEnum):
    """How bad; the numbers are those of ``diagnostic_msgs/DiagnosticStatus``."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Attributes:
        key: The same while it is the same fault, whatever the text says meanwhile.
        severity: How bad.
        text: What is wrong and what to do, in words for people.
        told: Whether the log says so when it begins and ends; /diagnostics always does.
    """

    key: str
    severity: Severity
    text: str
    told: bool = True


class FaultBook:
    """Keeps the faults that hold; belongs to one thread.

    Attributes:
        quiet_s: A fault that comes back sooner after it was told is told again only if it still
            holds then, and else not, nor its end: a loose contact must not fill the log. May be
            set at any time.
    """

    def __init__(
        self,
        tell: Callable[[Severity, str], None],
        quiet_s: float = 5.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Start with none.

        Args:
            tell: Writes a line into the log: the fault's text with its severity when it begins,
                with `Severity.OK` that it is over.
            quiet_s: See above.
            clock: Seconds that never jump.
        """
        self.quiet_s = quiet_s
        self._tell = tell
        self._clock = clock
        self._told: dict[str, float] = {}
        self._telling: set[str] = set()
        self._began: dict[str, float] = {}
        self._current: dict[str, Fault] = {}

    @property
    def current(self) -> Mapping[str, Fault]:
        """The faults that hold, by key."""
        return self._current

    @property
    def worst(self) -> Fault | None:
        """The one to show where there is room for one: the most severe, of these the first."""
        return max(self._current.values(), key=lambda f: f.severity, default=None)

    def update(self, faults: Iterable[Fault]) -> None:
        """Take note of all faults that hold now, the likeliest cause of the others first."""
        now = self._clock()
        found = {fault.key: fault for fault in faults}
        for key, fault in found.items():
            self._began.setdefault(key, now)
            quiet = key in self._told and now - self._told[key] < self.quiet_s
            if fault.told and key not in self._telling and not quiet:
                self._told[key] = now
                self._telling.add(key)
                self._tell(fault.severity, fault.text)
        for key, fault in self._current.items():
            if key not in found:
                lasted = now - self._began.pop(key)
                if key in self._telling:
                    self._telling.remove(key)
                    self._tell(Severity.OK, f"over after {lasted:.1f} s: {fault.text}")
        self._current = found

    def forget(self) -> None:
        """Nothing is looked at any more: what holds is neither wrong nor over."""
        self._current = {}
        self._began.clear()
        self._telling.clear()
