"""An environment without some packages: the one that runs the tests, but for these."""

from __future__ import annotations

import sys
import sysconfig
import venv
from pathlib import Path


def without(folder: Path, *patterns: str) -> Path:
    """Makes an environment without the packages that match `patterns` (globs on names in
    site-packages). Returns its Python. Everything else is linked, so this is quick."""
    builder = venv.EnvBuilder(symlinks=True, with_pip=False)
    builder.create(folder)
    present = Path(sysconfig.get_path("purelib"))
    made = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    left_out = {path for pattern in patterns for path in present.glob(pattern)}
    assert left_out, f"nothing is named {patterns}"
    for path in set(present.iterdir()) - left_out:
        (made / path.name).symlink_to(path)
    return folder / "bin" / "python"
