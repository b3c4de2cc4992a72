"""What `rotator health` does: it asks the daemon on this machine for its health.

It uses the standard library alone, and not even the models of the configuration: as a HEALTHCHECK
it runs every few seconds beside the daemon, within the same limit of memory.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path

from rotator.errors import RotatorError

_DEFAULT = "127.0.0.1:9464"


class Unwell(RotatorError):
    """The daemon answers that something is missing, or does not answer."""


def ask(address: str, path: str, seconds: float) -> str:
    """`ok`; raises Unwell, which says what is missing."""
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
    """The loopback address of a daemon that listens at all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - to be avoided


def _missing(body: bytes) -> str:
    try:
        checks = json.loads(body)["checks"]
        return "; ".join(f"{what}: {said}" for what, said in checks.items() if said != "ok")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def listens_on(config: Path) -> str:
    """`http.listen` of a configuration. The daemon has accepted it, so nothing is validated here.

    Raises Unwell if the file can't be read.
    """
    import yaml

    try:
        document = yaml.load(config.read_text(), Loader=yaml.CSafeLoader)
    except (OSError, UnicodeError, yaml.YAMLError):
        raise Unwell(f"{config} can't be read; name the configuration with -c") from None
    section = document.get("http") if isinstance(document, dict) else None
    listen = section.get("listen") if isinstance(section, dict) else None
    return listen if isinstance(listen, str) and listen.rpartition(":")[2].isdigit() else _DEFAULT
