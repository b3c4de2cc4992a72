"""The key of fingerprints. Nobody can guess values from the ledger without it."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rotator.errors import LedgerError

_BYTES = 32
_DOMAIN = b"rotator credential v1\n"
_DIGEST_DOMAIN = b"rotator secret version v1\n"


@dataclass(frozen=True, slots=True)
class FingerprintKey:
    """The secret key, which no repr shows."""

    key: bytes = field(repr=False)

    def fingerprint(self, data: Mapping[str, str]) -> str:
        """HMAC-SHA-256 over the canonical JSON of a credential, in hex."""
        canonical = json.dumps(dict(data), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hmac.new(self.key, _DOMAIN + canonical.encode(), hashlib.sha256).hexdigest()

    def digest(self, content: bytes) -> str:
        """A version for a secret whose source gives none: 24 hex digits, stable across restarts."""
        keyed = hmac.new(self.key, _DIGEST_DOMAIN + content, hashlib.sha256)
        return keyed.hexdigest()[:24]


def fingerprint_key(path: Path) -> FingerprintKey:
    """Reads the key from a file, and creates it with mode 0600 if it is absent.

    Two processes that create it at once get the same key: it is linked into place complete, and
    only if no file is there yet. Raises LedgerError.
    """
    for _ in range(2):
        try:
            text = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            _create(path)
            continue
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not text"
            raise LedgerError(f"fingerprint key {path} can't be read: {why}") from None
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) < _BYTES:
            raise LedgerError(
                f"fingerprint key {path} is not {_BYTES} bytes in hex; restore it, or remove it: "
                "then every credential is put once more"
            )
        return FingerprintKey(key)
    raise LedgerError(f"fingerprint key {path} disappears as soon as it is made")


def _sync_folder(folder: Path) -> None:
    """Makes the file's name durable: no fingerprint may outlive the key that it was made with."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_bytes(_BYTES).hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
            _sync_folder(path.parent)
        except FileExistsError:
            pass  # another process was first, and its key counts
        finally:
            draft.unlink()
    except OSError as error:
        raise LedgerError(f"fingerprint key {path} can't be made: {error.strerror}") from None
