"""The durable record of what was put on which connection, from which version, and how it ended."""

from rotator.ledger.key import FingerprintKey, fingerprint_key
from rotator.ledger.store import SqlLedger

__all__ = ["FingerprintKey", "SqlLedger", "fingerprint_key"]
