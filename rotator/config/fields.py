"""The types that sections are made of: durations, addresses, names, choices.

A message that starts with `not supported yet` is about a word that a later version will take. It is
refused, and never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        # The docstring below an attribute is its description in the JSON Schema.
        use_attribute_docstrings=True,
    )


# Numbers: strict, so that "8", true and 8.5 are no whole numbers.

Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]
Flag = Annotated[bool, Field(strict=True)]


# Durations

_DURATION = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>ms|s|m|h|d)")
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_LONGEST = timedelta(days=3660)
"""Longer durations overflow when they are added to the time of day."""


def parse_duration(value: object) -> timedelta:
    """A duration from `500ms`, `30s`, `5m`, `2h` or `7d`; ten years at the most."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError(
            "duration", "write a duration as a whole number with its unit: 500ms, 30s, 5m, 2h or 7d"
        )
    duration = int(match["count"]) * _UNITS[match["unit"]]
    if duration > _LONGEST:
        raise PydanticCustomError("duration", "a duration is ten years at the most")
    return duration


def format_duration(duration: timedelta) -> str:
    """The text that `parse_duration` reads, in the largest unit that needs no fraction."""
    if not duration:
        return "0s"
    unit = max((unit for unit in _UNITS if not duration % _UNITS[unit]), key=_UNITS.__getitem__)
    return f"{duration // _UNITS[unit]}{unit}"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h|d)$"}),
]


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise PydanticCustomError("duration", "this duration must be longer than nothing")
    return value


PositiveDuration = Annotated[Duration, AfterValidator(_positive)]


# Text. The patterns are Rust's, as pydantic applies them. WORDS explains each to people.

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_REGION = r"^[a-z0-9][a-z0-9-]*$"
_ROLE_ARN = r"^arn:[a-z-]+:iam::[0-9]{12}:role/.+$"
_SESSION_NAME = r"^[A-Za-z0-9_+=,.@-]{2,64}$"
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
NAMESPACE_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
LEASE_NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"

WORDS: Mapping[str, str] = {
    NAME_PATTERN: "a name is letters, digits, dots, dashes and underscores, starts with a letter "
    "or digit, and has 63 characters at the most",
    _VARIABLE: "write the name of an environment variable, as in CONFLUENT_API_KEY",
    _ID: "write the id as Confluent Cloud shows it: letters, digits and dashes",
    _REGION: "write the id of a region, as in us-east-1",
    _ROLE_ARN: "write the ARN of a role: arn:aws:iam::123456789012:role/NAME",
    _SESSION_NAME: "2 to 64 letters, digits and any of _+=,.@-",
    NAMESPACE_PATTERN: "a namespace is lower-case letters, digits and dashes, 63 at the most",
    LEASE_NAME_PATTERN: "the name of a Lease is lower-case letters, digits, dashes and dots",
}

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Variable = Annotated[str, Field(pattern=_VARIABLE)]
Id = Annotated[str, Field(pattern=_ID)]
Region = Annotated[str, Field(pattern=_REGION)]
RoleArn = Annotated[str, Field(pattern=_ROLE_ARN)]
SessionName = Annotated[str, Field(pattern=_SESSION_NAME)]


def _not_empty(path: object) -> object:
    if path == "":  # To pathlib, this is the working directory.
        raise PydanticCustomError("path", "must not be empty")
    return path


FilePath = Annotated[Path, BeforeValidator(_not_empty)]

_HOST = r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]"
_LOOPBACK = r"localhost|127(\.[0-9]{1,3}){3}|\[::1\]"
_URL = re.compile(rf"(https://({_HOST})|http://({_LOOPBACK}))(:(?P<port>[0-9]{{1,5}}))?/?")
_WEBHOOK = re.compile(
    rf"(https://({_HOST})|http://({_LOOPBACK}))(:(?P<port>[0-9]{{1,5}}))?([/?][!-~]*)?"
)
_PROXY = re.compile(rf"https?://({_HOST}):(?P<port>[0-9]{{1,5}})/?")
_LISTEN = re.compile(rf"({_HOST}):(?P<port>[0-9]{{1,5}})")


def _base_url(url: str) -> str:
    match = _URL.fullmatch(url)
    if match is None:
        raise PydanticCustomError(
            "url",
            "write https://HOST[:PORT] with nothing behind it (http:// only for loopback)",
        )
    _port(match["port"] or "443")
    return url.rstrip("/")


def is_webhook_url(url: str) -> bool:
    """Whether a webhook may have this URL. One with a user or a password may not."""
    match = _WEBHOOK.fullmatch(url)
    return match is not None and int(match["port"] or "443") <= 65535


def _webhook_url(url: str) -> str:
    if not is_webhook_url(url):
        raise PydanticCustomError(
            "url",
            "write https://HOST[:PORT]/PATH (http:// only for loopback), or where to find it: "
            "{choice}",
            {"choice": "{env: NAME}, {file: PATH} or {secret: {source, path, field}}"},
        )
    return url


def _proxy(url: str) -> str:
    match = _PROXY.fullmatch(url)
    if match is None:
        raise PydanticCustomError(
            "url", "write http://HOST:PORT or https://HOST:PORT, without a user or a password"
        )
    _port(match["port"])
    return url.rstrip("/")


def _listen(address: str) -> str:
    match = _LISTEN.fullmatch(address)
    if match is None:
        raise PydanticCustomError("listen", "write HOST:PORT, as in 127.0.0.1:9464 or [::]:9464")
    _port(match["port"])
    return address


def _port(digits: str) -> None:
    if int(digits) > 65535:
        raise PydanticCustomError("port", "a port is 65535 at the most")


BaseUrl = Annotated[str, AfterValidator(_base_url)]
WebhookUrl = Annotated[str, AfterValidator(_webhook_url)]
ProxyUrl = Annotated[str, AfterValidator(_proxy)]
ListenAddress = Annotated[str, AfterValidator(_listen)]

_PLACEHOLDERS = ("{connection}", "{environment}", "{target}", "{type}")


def _template(path: str) -> str:
    rest = path
    for word in _PLACEHOLDERS:
        rest = rest.replace(word, "")
    if "{" in rest or "}" in rest:
        raise PydanticCustomError(
            "template", "only {words} may stand in braces", {"words": ", ".join(_PLACEHOLDERS)}
        )
    return path


def _no_template(path: str) -> str:
    if "{" in path or "}" in path:
        raise PydanticCustomError("template", "no braces here: this value is for no connection")
    return path


Template = Annotated[Text, AfterValidator(_template)]
FixedPath = Annotated[Text, AfterValidator(_no_template)]


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise PydanticCustomError(
            "timezone", "no such time zone; write an IANA name as Europe/Berlin or UTC"
        ) from None
    return name


def _cron(expression: str) -> str:
    # Imported here: a command that schedules nothing doesn't need APScheduler.
    from rotator.config.cron import cron_trigger

    try:
        cron_trigger(expression, "UTC")
    except (ValueError, TypeError) as problem:
        raise PydanticCustomError(
            "cron",
            "not a cron expression (minute hour day month weekday): {problem}",
            {"problem": str(problem)},
        ) from None
    return expression


Timezone = Annotated[str, AfterValidator(_timezone)]
Cron = Annotated[str, AfterValidator(_cron)]


# Choices


def later(*words: str, instead: str = "") -> BeforeValidator:
    """Refuse words that only a later version takes."""

    def check(value: object) -> object:
        if isinstance(value, str) and value in words:
            raise PydanticCustomError(
                "not_supported",
                "not supported yet: {word}{instead}",
                {"word": value, "instead": f"; use {instead}" if instead else ""},
            )
        return value

    return BeforeValidator(check)


Engine = Literal["kv-v2", "kv-v1", "database", "aws", "generic"]


TAG = "\x1f"
"""Starts the tag of each member of a union. Tags appear in the `loc` of errors among the keys. No
key holds a control character, so this tells tags from keys, such as the key `file` from the kind
`file`."""


def tag(name: str) -> Tag:
    return Tag(TAG + name)


def chosen_by(key: str, *names: str, not_yet: tuple[str, ...] = ()) -> Discriminator:
    """Chooses the member of a union by the value of `key`."""

    def choose(value: object) -> str | None:
        found = value.get(key) if isinstance(value, dict) else getattr(value, key, None)
        if isinstance(found, str) and found in names:
            return TAG + found
        return None

    return Discriminator(
        choose,
        custom_error_type="choice",
        custom_error_message="choose another {key}",
        custom_error_context={"key": key, "choices": "|".join(names), "later": "|".join(not_yet)},
    )


def text_or_mapping(value: object) -> str:
    """The tag in a union of text and a section."""
    return TAG + ("mapping" if isinstance(value, (dict, BaseModel)) else "text")
