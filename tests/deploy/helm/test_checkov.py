"""checkov finds nothing in what the chart makes that isn't explained here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.helm.test_chart import GOOD, rendered

EXPLAINED = {
    "CKV_K8S_11": "no limit of CPU: a rotator that is slowed down misses its own deadlines",
    "CKV_K8S_15": "a tag is of one version and a digest of one image, so a node's copy is as good",
    "CKV_K8S_35": "variables come from a Secret by reference; files are there for who prefers them",
    "CKV_K8S_43": "the digest is the user's to give: image.digest",
}
OTHERS = {"everything"}
"""Values with containers of somebody else, which the chart passes on as they are."""
HARDENED = {"CKV_K8S_11"}
"""What is left of it where the values are as strict as they can be."""


@pytest.mark.tool("checkov", get=".ci/tools, then PATH=.tools/usr/bin:$PATH")
def test_checkov_finds_nothing_unexplained(tmp_path: Path) -> None:
    for path in GOOD:
        if path.stem not in OTHERS:
            text = yaml.safe_dump_all(rendered(path))
            (tmp_path / f"{path.stem}.yaml").write_text(text)
    done = subprocess.run(
        ["checkov", "-d", tmp_path, "--framework", "kubernetes", "-o", "json", "--skip-download"],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    found = {
        (Path(check["file_path"]).stem, check["check_id"])
        for check in report["results"]["failed_checks"]
    }
    assert report["summary"]["passed"] > 100
    assert report["summary"]["parsing_errors"] == 0
    assert {check for _, check in found} == set(EXPLAINED)
    assert {check for stem, check in found if stem == "hardened"} == HARDENED
