"""How an update is sent: PUT or PATCH, with or without the resource version.

`UpdateForms` decides, and takes time as an argument. The contract has PUT, the documentation PATCH.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rotator.confluent.settings import UpdateMethod

PATCH_AFTER_405 = 300.0
"""Seconds until PUT is tried again: a 405 may come from a proxy, or pass with a release."""


class UpdateForm(Enum):
    PUT = "PUT"
    """With the resource version, where it is known."""
    PATCH = "PATCH"
    """With the resource version, where it is known."""
    PATCH_UNVERSIONED = "PATCH without the resource version"


@dataclass(slots=True)
class UpdateForms:
    """Learns from answers what one target takes. Times are of a monotonic clock."""

    method: UpdateMethod
    _patch_until: float = float("-inf")
    _patch: UpdateForm = UpdateForm.PATCH

    def first(self, now: float) -> UpdateForm:
        """The form in which to send an update first."""
        if self.method == "patch" or (self.method == "auto" and now < self._patch_until):
            return self._patch
        return UpdateForm.PUT

    def after(
        self, tried: tuple[UpdateForm, ...], status: int, now: float, *, versioned: bool
    ) -> UpdateForm | None:
        """The form to send the same update in next; None where the last answer stands.

        `versioned` is whether the resource version is known. Only an answer of 400 or 405, which
        certainly applied nothing, leads to another form.
        """
        last = tried[-1]
        if status == 405:
            return self._other_method(tried, now)
        if last is UpdateForm.PATCH and status == 400 and versioned:
            return UpdateForm.PATCH_UNVERSIONED
        if last is UpdateForm.PATCH_UNVERSIONED and 200 <= status < 300:
            self._patch = last
        return None

    def _other_method(self, tried: tuple[UpdateForm, ...], now: float) -> UpdateForm | None:
        if self.method != "auto":
            return None
        if tried[-1] is UpdateForm.PUT:
            if len(tried) > 1:
                return None
            self._patch_until = now + PATCH_AFTER_405
            return self._patch
        self._patch_until = float("-inf")
        return None if UpdateForm.PUT in tried else UpdateForm.PUT
