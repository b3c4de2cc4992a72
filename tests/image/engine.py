"""Containers as `make image-test` runs them: by docker or podman, as tightly as a cluster would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE = os.environ.get("ROTATOR_TEST_IMAGE", "")
MEMORY = 128 * 2**20
TIGHT = (
    "--read-only",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    f"--memory={MEMORY}",
    "--network=host",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    # Its command is run by the tests; what would run it by itself is systemd, or Docker's daemon.
    "--no-healthcheck",
    # The only folder that can be written to: a volume that takes its owner from the image.
    "--volume=/var/lib/rotator",
)


def engine() -> str:
    """One that runs containers: buildah alone only builds them."""
    for name in filter(None, (os.environ.get("ENGINE"), "docker", "podman")):
        if shutil.which(name) and _does(name, "info").returncode == 0:
            return name
    raise AssertionError("to run an image it takes docker (with its daemon) or podman")


def _does(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@dataclass(frozen=True, slots=True)
class Engine:
    name: str

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _does(self.name, *arguments)

    def inspect(self, image: str) -> dict[str, Any]:
        shown = self("image", "inspect", image)
        assert shown.returncode == 0, shown.stderr
        found: dict[str, Any] = json.loads(shown.stdout)[0]
        return found

    def run(
        self, *command: str, mounts: dict[Path, str] | None = None, options: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """To its end."""
        return self(*self.command(*command, mounts=mounts, options=("--rm", *options)))

    def command(
        self, *command: str, mounts: dict[Path, str] | None = None, options: tuple[str, ...] = ()
    ) -> list[str]:
        volumes = [f"--volume={here}:{there}:ro" for here, there in (mounts or {}).items()]
        # podman would put file systems in memory over /tmp and others.
        only = ("--read-only-tmpfs=false",) if self.name == "podman" else ()
        return ["run", *TIGHT, *only, *volumes, *options, IMAGE, *command]
