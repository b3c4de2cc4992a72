"""The certificates of a Vault source: those that it trusts, and its own."""

from __future__ import annotations

import ssl
from pathlib import Path

from rotator.config.models import VaultSource
from rotator.errors import SourceError


class Certificates:
    def __init__(self, name: str, config: VaultSource) -> None:
        self._name = name
        self._ca_file = config.ca_file
        self._own = config.client_certificate

    def checked(self) -> tuple[str | bool, str | tuple[str, str] | None]:
        """`verify` and `cert` of requests.

        They are checked for each new connection, since files are replaced. Raises SourceError that
        says which file is wrong; the libraries don't.
        """
        trusted: str | bool = True
        if self._ca_file is not None:
            self._load("ca_file", self._ca_file, "holds no certificate in PEM")
            trusted = str(self._ca_file)
        if self._own is None:
            return trusted, None
        cert, key = self._own.cert_file, self._own.key_file
        what = "holds no certificate in PEM, or key_file not its key"
        self._load("client_certificate.cert_file", cert, what, key=key or cert)
        return trusted, (str(cert), str(key)) if key else str(cert)

    def context(self) -> ssl.SSLContext:
        """The same as a context of ssl."""
        context = ssl.create_default_context(cafile=self._ca_file)
        if self._own is not None:
            context.load_cert_chain(self._own.cert_file, self._own.key_file, password=_no_password)
        return context

    def _load(self, setting: str, path: Path, wrong: str, key: Path | None = None) -> None:
        try:
            if key is None:
                ssl.create_default_context(cafile=path)
            else:
                context = ssl.create_default_context()
                context.load_cert_chain(path, key, password=_no_password)
        except (ssl.SSLError, _Locked):
            why = wrong
        except OSError as error:
            why = f"can't be read: {error.strerror}"
        else:
            return
        raise SourceError(self._name, "", f"{setting} {path} {why}")


class _Locked(Exception):
    """The key has a passphrase, and nobody is there to type it."""


def _no_password() -> str:
    raise _Locked
