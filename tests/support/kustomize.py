"""Kustomizations as `kubectl apply -k` sees them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.manifests import Manifest, documents

SIDECAR = Path(__file__).parents[2] / "deploy" / "sidecar"

_TOOL = "kubectl" if shutil.which("kubectl") else "kustomize"

needs_kustomize = pytest.mark.tool(_TOOL, get="kubectl, or .ci/tools for kustomize alone")


def built(folder: Path) -> list[Manifest]:
    command = ["kubectl", "kustomize"] if _TOOL == "kubectl" else ["kustomize", "build"]
    done = subprocess.run([*command, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def with_component(folder: Path, workload: str, *components: str) -> Path:
    """A user's own kustomization, with a workload and components of the sidecar."""
    (folder / "workload.yaml").write_text(workload)
    (folder / "rotator.yaml").write_text("{}\n")
    listed = "".join(f"  - {os.path.relpath(SIDECAR / name, folder)}\n" for name in components)
    (folder / "kustomization.yaml").write_text(
        "resources: [workload.yaml]\n"
        f"components:\n{listed}"
        "configMapGenerator:\n  - {name: rotator-config, files: [rotator.yaml]}\n"
    )
    return folder
