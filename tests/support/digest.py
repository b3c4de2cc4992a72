"""The keyed digest that a source is given, with a key of the tests."""

from __future__ import annotations

from rotator.ledger.key import FingerprintKey

digest = FingerprintKey(b"k" * 32).digest
