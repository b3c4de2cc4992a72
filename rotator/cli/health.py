"""Asking the daemon of this container how it is: for a HEALTHCHECK, where there is no shell.

The standard library alone, and not even the configuration's models: it runs every few seconds
beside the daemon, within the same limit of memory.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path

from rotator.errors import RotatorError

_DEFAULT = "127.0.0.1:9464"


class Unwell(RotatorError):
    """It answers that something is missing, or does not answer."""


def ask(address: str, path: str, seconds: float) -> str:
    """Raises Unwell, in words."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(
        _reachable(host.strip("[]")), int(port), timeout=seconds
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(100_000)
    except (OSError, OverflowError, UnicodeError, http.client.HTTPException) as error:
        raise Unwell(f"{address}{path}: no answer: {str(error) or type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise Unwell(f"{address}{path}: {_missing(body) or f'HTTP {answer.status}'}")
    return "ok"


def _reachable(host: str) -> str:
    """Who listens everywhere listens on loopback too."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - to be avoided


def _missing(body: bytes) -> str:
    try:
        checks = json.loads(body)["checks"]
        return "; ".join(f"{what}: {said}" for what, said in checks.items() if said != "ok")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def listens_on(config: Path) -> str:
    """`http.listen` of a configuration that the daemon took, so it is not checked again.

    Raises Unwell where it can't be read.
    """
    import yaml

    try:
        document = yaml.load(config.read_text(), Loader=yaml.CSafeLoader)
    except (OSError, UnicodeError, yaml.YAMLError):
        raise Unwell(f"{config} can't be read; name the configuration with -c") from None
    section = document.get("http") if isinstance(document, dict) else None
    listen = section.get("listen") if isinstance(section, dict) else None
    return listen if isinstance(listen, str) and listen.rpartition(":")[2].isdigit() else _DEFAULT
