"""httpx without the parts that a daemon doesn't need, and its errors in plain words."""

from __future__ import annotations

import ssl
import sys

# httpx imports its own command line, with rich and click, wherever these are installed: 6 MiB and
# a quarter of a second (measured). It falls back quietly where that module can't be imported.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type] # None: not to be imported

import httpx  # noqa: E402 - after the line above

__all__ = ["cause", "httpx"]


def cause(error: BaseException) -> str | None:
    """What the operating system or TLS says, never the request; None if they say nothing."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({found.verify_message}); check ca_file"
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        found = found.__cause__ or found.__context__
    return None
