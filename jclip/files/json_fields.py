"""Reading a JSON object field by field, so that no field of a checkpoint goes unread."""

import math
import reprlib
from collections.abc import Mapping
from typing import Any

from jclip.errors import InputError

LARGEST = 10_000_000
"""No length, width or count of a network is larger."""
DEEPEST = 1000
"""No network has more layers."""
_SHOWN = 6
_SHORT = reprlib.Repr(maxstring=60, maxother=60, maxlist=6, maxdict=4, maxlong=40)


class Fields:
    """One JSON object of which every field has to be read, refused or set aside by name.

    A field that is null counts as absent. Problems are collected, so that one error can name all;
    nested objects share one list, and have a prefix for messages, such as `text_config.`.
    """

    def __init__(self, values: Mapping[str, Any], prefix: str = "", problems: list | None = None):
        self._values = {name: value for name, value in values.items() if value is not None}
        self._prefix = prefix
        self.problems: list[str] = [] if problems is None else problems

    def take(self, name: str, default: Any) -> Any:
        """The field's value, or the default; another type, NaN or an infinity is a problem."""
        value = self._values.pop(name, default)
        kind = type(default)
        if kind is float and type(value) is int and abs(value) <= LARGEST:
            return float(value)
        if type(value) is not kind:
            self.refuse(name, value, f"a {kind.__name__} is expected")
            return default
        if kind is float and not math.isfinite(value):
            self.refuse(name, value, "a finite number is expected")
            return default
        return value

    def take_positive[Number: (int, float)](
        self, name: str, default: Number, at_most: int = LARGEST
    ) -> Number:
        """A positive number of the default's type; `[n, n]` counts as n."""
        value = self._values.get(name)
        if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
            self._values[name] = value[0]
        number = self.take(name, default)
        if not 0 < number <= at_most:
            self.refuse(name, number, f"a positive number up to {at_most:,} is expected")
            return default
        return number

    def pop(self, name: str, default: Any) -> Any:
        """The field's value, whatever it is, or the default; to be checked by the caller."""
        return self._values.pop(name, default)

    def choose[K: (str, int), T](self, name: str, default: K, choices: Mapping[K, T]) -> T:
        """What the choices hold under the field's value; another value is a problem."""
        value = self._values.pop(name, default)
        if type(value) is not type(default) or value not in choices:
            self.refuse(name, value, f"supported: {', '.join(map(str, choices))}")
            return choices[default]
        return choices[value]

    def only(self, name: str, *supported: Any) -> None:
        """Refuse every value but the supported ones; absent is fine."""
        if name in self._values and (value := self._values.pop(name)) not in supported:
            self.refuse(name, value, f"supported: {' or '.join(map(repr, supported)) or 'null'}")

    def refuse_switches(self, *names: str) -> None:
        """Refuse what is switched on."""
        for name in names:
            self.only(name, False)

    def ignore(self, *names: str) -> None:
        """Set aside fields that do not change what the network computes."""
        for name in names:
            self._values.pop(name, None)

    def nested(self, name: str) -> "Fields":
        """The object in a field (an empty one if absent); it has to be finished like this one."""
        return Fields(self.take(name, {}), f"{self._prefix}{name}.", self.problems)

    def refuse(self, name: str, value: Any, reason: str) -> None:
        """Add a problem."""
        named = name if name.isprintable() and len(name) < 60 else _SHORT.repr(name)
        self.problems.append(f"{self._prefix}{named} = {_SHORT.repr(value)} ({reason})")

    def finish(self) -> None:
        """Refuse every field that was not read."""
        for name, value in self._values.items():
            self.refuse(name, value, "unknown field")
        self._values = {}

    def raise_problems(self, file: str) -> None:
        """Name everything that was refused.

        Raises:
            InputError: something was refused.
        """
        if self.problems:
            shown, more = self.problems[:_SHOWN], len(self.problems) - _SHOWN
            rest = f"; and {more} more" if more > 0 else ""
            raise InputError(f"{file} describes what is not supported: {'; '.join(shown)}{rest}")
