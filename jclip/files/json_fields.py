"""Reading a JSON object field by field, so that no field of a checkpoint goes unread."""

from collections.abc import Mapping
from typing import Any

from jclip.errors import InputError


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
        """The field's value, or the default; a value of another type is a problem."""
        value = self._values.pop(name, default)
        kind = type(default)
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            self.refuse(name, value, f"a {kind.__name__} is expected")
            return default
        return value

    def take_positive(self, name: str, default: int) -> int:
        """A positive integer; `[n, n]` counts as n."""
        value = self._values.get(name)
        if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
            self._values[name] = value[0]
        number = self.take(name, default)
        if number <= 0:
            self.refuse(name, number, "a positive number is expected")
            return default
        return number

    def choose[T](self, name: str, default: str, choices: Mapping[str, T]) -> T:
        """What the choices hold under the field's value; another value is a problem."""
        value = self._values.pop(name, default)
        if not isinstance(value, str) or value not in choices:
            self.refuse(name, value, f"supported: {', '.join(choices)}")
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
        self.problems.append(f"{self._prefix}{name} = {value!r} ({reason})")

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
            raise InputError(f"{file} describes what is not supported: {'; '.join(self.problems)}")
