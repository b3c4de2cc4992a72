"""The durable record: what was put on which connection, from which version, with which outcome."""

from rotator.ledger.key import FingerprintKey, fingerprint_key
from rotator.ledger.store import SqlLedger

__all__ = ["FingerprintKey", "SqlLedger", "fingerprint_key"]
