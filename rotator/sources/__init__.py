"""Where secrets are read from: one vendor a file, imported when a source of its kind is opened."""

from __future__ import annotations

from rotator.config.models import AwsSource, FileSource, SourceConfig, VaultSource
from rotator.errors import SourceError
from rotator.ports import Observer
from rotator.sources.threads import ThreadedSource


def open_source(name: str, config: SourceConfig, observe: Observer) -> ThreadedSource:
    """Nothing is read and nobody logs in before the first use. Raises SourceError."""
    timeout = config.timeout.total_seconds()
    try:
        match config:
            case FileSource():
                from rotator.sources.file import FileReader

                return ThreadedSource(name, FileReader(name, config), timeout, observe)
            case VaultSource():
                from rotator.sources.vault import VaultReader

                return ThreadedSource(name, VaultReader(name, config), timeout, observe)
            case AwsSource():
                from rotator.sources.aws import AwsReader

                return ThreadedSource(name, AwsReader(name, config), timeout, observe)
    except ModuleNotFoundError as missing:
        extra = {"hvac": "vault", "boto3": "aws", "botocore": "aws"}.get(missing.name or "", "")
        raise SourceError(
            name, "", f"{missing.name} is not installed: pip install 'rotator[{extra}]'"
        ) from None
