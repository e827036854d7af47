"""What a setting is: the field that holds it, the variables that it is read from, what it accepts, and its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from buraq.errors import ConfigError
from buraq.values import Parser, T

PREFIX = "BURAQ_"


@dataclass(frozen=True)
class Setting:
    """One setting: the field that holds it and the variables that it is read from.

    `variables` are in the order in which they win. `default` is written as in a variable, and None
    where `Config` finds it out.
    """

    field: str
    variables: Mapping[str, Parser[object]]
    default: str | None
    help: str
    shown: str  # what the docs give as the default
    mask: Callable[[str], str]  # makes a value fit to be shown

    def find(
        self, mapping: Mapping[str, object], env: Mapping[str, str], overrides: Mapping[str, object]
    ) -> tuple[str, object] | None:
        """Return what sets this setting, as its name and value; None when nothing does."""
        # None as an override is a value where "none" is the default, else it says nothing.
        if overrides.get(self.field) is not None or (self.field in overrides and self.default == "none"):
            return self.field, overrides[self.field]
        prefixed = [PREFIX + variable.removeprefix(PREFIX) for variable in self.variables]
        bare = [variable for variable in self.variables if not variable.startswith(PREFIX)]
        for place, names in ((mapping, prefixed), (env, prefixed + bare)):
            for name in names:
                value = place.get(name)
                if value is not None and not (isinstance(value, str) and not value.strip()):
                    return name, value
        return None

    def read(self, written: str, raw: object) -> object:
        """Return the value of `raw`. Raises ConfigError with `written` as the name."""
        # Aliases may accept something else: REDIS_ADDR is no URL.
        first = next(iter(self.variables.values()))
        parse = self.variables.get(written.upper().removeprefix(PREFIX), first)
        try:
            return parse(raw)
        except ValueError as error:
            value = raw if self.mask is str else self.mask(str(raw))
            raise ConfigError(written, value, str(error)) from None


def hidden(secret: str) -> str:
    return "***" if secret else ""


def setting(
    default: str | None,
    help: str,
    shown: str = "",
    mask: Callable[[str], str] = str,
    **variables: Parser[T],
) -> T:
    """Declare a setting: a field of `Config` that knows its variables, the winning one first."""
    value = "" if default is None else next(iter(variables.values()))(default)
    known = Setting("", variables, default, help, shown or f"`{default}`", mask)
    return cast(T, field(default=value, metadata={"setting": known}))
