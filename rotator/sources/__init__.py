"""Where secrets are read from: one vendor a file, imported when a source of its kind is opened."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from rotator.config.models import AwsSource, FileSource, SourceConfig, VaultSource
from rotator.errors import SourceError
from rotator.ports import Observer
from rotator.sources.reader import Digest, Reader
from rotator.sources.threads import ThreadedSource, on_this_loop

_EXTRAS = {"hvac": "vault", "requests": "vault", "boto3": "aws", "botocore": "aws"}


def open_source(
    name: str,
    config: SourceConfig,
    observe: Observer,
    digest: Digest,
    now: Callable[[], float] = monotonic,
) -> ThreadedSource:
    """Opens a source. Nothing is read, and nobody logs in, before the first use.

    `digest` makes versions for engines that keep none. `now` is in seconds and never goes back.
    Needs a running loop, where `observe` is called. Raises SourceError.
    """
    try:
        reader = _reader(name, config, on_this_loop(observe), digest, now)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        raise SourceError(
            name, "", f"{package} is not installed: pip install 'rotator[{_EXTRAS[package]}]'"
        ) from None
    return ThreadedSource(name, reader, config.timeout.total_seconds(), observe)


def _reader(
    name: str,
    config: SourceConfig,
    observe: Observer,
    digest: Digest,
    now: Callable[[], float],
) -> Reader:
    match config:
        case FileSource():
            from rotator.sources.file import FileReader

            return FileReader(name, config)
        case VaultSource():
            from rotator.sources.vault import VaultReader

            return VaultReader(name, config, observe, digest, now)
        case AwsSource():
            from rotator.sources.aws import AwsReader

            return AwsReader(name, config, monotonic=now)
