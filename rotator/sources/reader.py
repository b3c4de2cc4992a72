"""What a vendor's reader must implement, and what it may."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping

from rotator.errors import SourceError
from rotator.model.lease import Owner
from rotator.model.secret import Grant, Probe, Secret, SecretRef
from rotator.model.source import Finding

Digest = Callable[[bytes], str]
"""A keyed digest, so that a version made with it reveals nothing about the content."""


class Reader(ABC):
    """Blocking, thread-safe, raises SourceError only."""

    @abstractmethod
    def read(self, ref: SecretRef) -> Secret:
        """Reads one secret. Where `ref` is dynamic, sends exactly one request that makes a
        credential."""

    @abstractmethod
    def probe(self, ref: SecretRef) -> Probe: ...

    @abstractmethod
    def close(self) -> None:
        """Frees what is held, and revokes what nobody needs any more. Raises nothing."""

    # Reading many at once

    def groups(self, refs: Collection[SecretRef]) -> Iterable[tuple[SecretRef, ...]]:
        """The groups that `read_group` is to read in one call each."""
        return ((ref,) for ref in refs)

    def read_group(self, refs: tuple[SecretRef, ...]) -> Mapping[SecretRef, Secret | SourceError]:
        answers: dict[SecretRef, Secret | SourceError] = {}
        for ref in refs:
            try:
                answers[ref] = self.read(ref)
            except SourceError as error:
                answers[ref] = error
        return answers

    # Leases, and the token that they die with

    def renew(self, lease: str, seconds: float) -> Grant:  # noqa: ARG002 - a source without leases
        raise self._without_leases(lease)

    def revoke(self, lease: str) -> None:
        raise self._without_leases(lease)

    def _without_leases(self, lease: str) -> SourceError:
        return SourceError("", "", f"this kind of source has no leases, and so no {lease}")

    def keep_alive(self) -> Owner | None:
        return None

    # What it may do

    def examine(
        self, refs: Collection[SecretRef], watched: Collection[SecretRef]
    ) -> tuple[Finding, ...]:
        """Reads and probes, to find out whether that works. Override it if that changes anything.

        Raises SourceError only if nothing at all can be asked.
        """
        read = [Finding(f"read {ref.path}", trouble(self.read, ref)) for ref in refs]
        probed = [Finding(f"probe {ref.path}", trouble(self.probe, ref)) for ref in watched]
        return (*read, *probed)


def trouble(work: Callable[[SecretRef], object], ref: SecretRef) -> str:
    """What is wrong, in words; empty if nothing is."""
    try:
        work(ref)
    except SourceError as error:
        return error.message
    return ""
