"""An environment without some packages: the one that runs the tests, but for these."""

from __future__ import annotations

import sys
import sysconfig
import venv
from pathlib import Path


def without(folder: Path, *patterns: str) -> Path:
    """Its Python. Everything else of the present environment is linked to, so it is made at once;
    `patterns` are globs on names in site-packages."""
    builder = venv.EnvBuilder(symlinks=True, with_pip=False)
    builder.create(folder)
    present = Path(sysconfig.get_path("purelib"))
    made = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    left_out = {path for pattern in patterns for path in present.glob(pattern)}
    assert left_out, f"nothing is named {patterns}"
    for path in set(present.iterdir()) - left_out:
        (made / path.name).symlink_to(path)
    return folder / "bin" / "python"
