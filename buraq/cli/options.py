"""Options that several commands share, and options that stand for a setting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from buraq.config import SETTINGS
from buraq.keys import check_queue_name
from buraq.setting import Setting
from buraq.values import Parser, duration


class Parsed(click.ParamType[Any]):
    """An argument that is read by one of the parsers of the settings, which say what they accept."""

    def __init__(self, parse: Parser[Any], name: str) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what was written as its value."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SettingOption(click.Option):
    """An option that wins over a setting: it accepts what the variable accepts, and its help names the variable."""

    def __init__(self, *args: Any, setting: str, **kwargs: Any) -> None:
        self.setting: Setting = next(known for known in SETTINGS if known.field == setting)
        parse = next(iter(self.setting.variables.values()))
        kwargs.setdefault("type", Parsed(parse, kwargs.get("metavar") or setting))
        super().__init__(*args, **kwargs)

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Add the variables and the default to the help."""
        extra = super().get_help_extra(ctx)
        extra["envvars"] = tuple(self.setting.variables)
        extra["default"] = self.setting.shown.replace("`", "")
        return extra


def setting_option(*names: str, setting: str, **options: Any) -> Callable[[Any], Any]:
    """Declare an option that stands for the setting of that field."""
    return click.option(*names, cls=SettingOption, setting=setting, **options)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

DURATION = Parsed(duration(), "duration")
TIMEOUT = Parsed(duration(0.001), "duration")


def _moment(raw: object) -> datetime:
    try:
        moment = raw if isinstance(raw, datetime) else datetime.fromisoformat(str(raw))
    except ValueError:
        raise ValueError("it takes a date and time, as in 2026-11-21T18:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"it takes a time zone, too: {moment.isoformat()}Z is UTC, {moment.isoformat()}+02:00 Berlin")
    return moment


MOMENT = Parsed(_moment, "time")


def _queue_names(raw: object) -> tuple[str, ...]:
    if isinstance(raw, tuple):
        return raw
    return tuple(check_queue_name(name.strip()) for name in str(raw).split(",") if name.strip())


QUEUE = Parsed(lambda raw: check_queue_name(str(raw)), "name")
QUEUES = Parsed(_queue_names, "a,b")
