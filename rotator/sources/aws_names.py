"""What identifies a secret of AWS: its name, its ARN, or its ARN without the last six characters.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

_ARN = re.compile(
    r"(?P<start>arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):secret:)"
    r"(?P<rest>[^:]+)"
)
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")


@dataclass(frozen=True, slots=True)
class Arn:
    start: str
    """Everything before the name."""
    region: str
    account: str
    rest: str
    """The name, and the suffix unless it is left out."""

    @property
    def short(self) -> str:
        return _SUFFIX.sub("", self.rest)


def arn_of(path: str) -> Arn | None:
    match = _ARN.fullmatch(path)
    return Arn(**match.groupdict()) if match else None


def asked_for(paths: Collection[str], arn: str, name: str) -> set[str]:
    """The `paths` that mean the secret of an answer."""
    known = arn_of(arn)
    return {arn, name, known.start + name if known else arn} & set(paths)


def refused(paths: Collection[str], echoed: str) -> set[str]:
    """The `paths` that an error of a batch is about. It names a secret by ARN or by name."""
    if echoed in paths:
        return {echoed}
    known = arn_of(echoed)
    if known:
        return {known.short, known.start + known.short} & set(paths)
    arns = {path: arn_of(path) for path in paths}
    return {path for path, arn in arns.items() if arn and echoed in {arn.rest, arn.short}}
