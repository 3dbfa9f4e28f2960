"""What one setting of the node is: a default, a description, and what values it takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

SettingValue = bool | int | float | str
Settings = Mapping[str, Any]
"""Values by name, one for each entry of the table in `amg_fuse_ros.settings`."""


class Form(NamedTuple):
    """What a text has to look like."""

    pattern: str
    """A regular expression for the whole text, of what Python and JSON schemas have in common."""
    words: str
    """The same for people."""


@dataclass(frozen=True)
class Setting:
    """One setting: its default gives its type."""

    name: str
    default: SettingValue
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    form: Form | None = None
    live: bool = False
    """Takes effect at once; others are read when the node is configured."""

    @property
    def type(self) -> type:
        """``bool``, ``int``, ``float`` or ``str``."""
        return type(self.default)

    def problem_with(self, value: object) -> str | None:
        """Why ``value`` cannot be taken, in words for people; ``None`` if it can."""
        if type(value) is not self.type:
            hint = f", write {value}.0" if self.type is float and type(value) is int else ""
            return (
                f"{self.name}: expected {_TYPE_NAMES[self.type]}, found {value!r} "
                f"({_TYPE_NAMES.get(type(value), type(value).__name__)}){hint}"
            )
        if self.choices and value not in self.choices:
            return f"{self.name}: expected one of {', '.join(self.choices)}, found {value!r}"
        if self.form is not None and not re.fullmatch(self.form.pattern, str(value)):
            return f"{self.name}: expected {self.form.words}, found {value!r}"
        if self.minimum is not None and not self.minimum <= value <= self.maximum:  # type: ignore[operator]
            return f"{self.name}: expected {self.minimum} to {self.maximum}, found {value}"
        return None


_TYPE_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number with a decimal point",
    str: "a text",
}
