"""What `rotator policy` prints, as a server reads it."""

from __future__ import annotations

from typing import Any

import hcl2


def capabilities(hcl: str) -> dict[str, tuple[str, ...]]:
    """path → capabilities, read by a parser of HCL."""
    document: dict[str, Any] = hcl2.loads(hcl + "\n")
    return {
        path.strip('"'): tuple(word.strip('"') for word in block["capabilities"])
        for paths in document.get("path", [])
        for path, block in paths.items()
    }
