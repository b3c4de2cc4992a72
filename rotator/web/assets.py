"""The style, the script and the icon of the pages, from this package and nowhere else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

_KINDS = {
    "rotator.css": "text/css; charset=utf-8",
    "rotator.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    kind: str
    digest: str


def _read(name: str) -> Asset:
    content = (files("rotator.web") / "static" / name).read_bytes()
    return Asset(content, _KINDS[name], hashlib.sha256(content).hexdigest()[:12])


ASSETS = {name: _read(name) for name in _KINDS}


def address_of(name: str) -> str:
    """The URL, with a digest, so that a browser may keep the file for good."""
    return f"static/{name}?{ASSETS[name].digest}"
