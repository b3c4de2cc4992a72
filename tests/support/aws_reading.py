"""What tests of readers of AWS have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.config.models import AwsSource
from rotator.sources.aws import AwsReader
from tests.support.aws import ACCOUNT, REGION

USER = f"arn:aws:iam::{ACCOUNT}:user/rotator"

OpenReader = Callable[..., AwsReader]


@dataclass(slots=True)
class Time:
    """The time as a reader sees it. A pause passes at once."""

    seconds: float = 1000.0
    on_pause: Callable[[], object] = field(default=lambda: None)

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 7, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.on_pause()


def source_of(url: str, **options: Any) -> AwsSource:
    document = {"kind": "aws-secrets-manager", "region": REGION, "endpoint_url": url}
    return AwsSource.model_validate(document | {"sts_endpoint_url": url} | options)


def shared_file(access_key: str, secret_key: str, profile: str = "default") -> str:
    return f"[{profile}]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n"
