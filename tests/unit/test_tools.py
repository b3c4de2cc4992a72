"""Skips: named at the end of a run, and failures where everything must be there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SUITE = """
import pytest

@pytest.mark.tool("no-such-tool", get="apt-get install nothing")
def test_with_a_tool_that_is_missing():
    raise AssertionError("ran")

@pytest.mark.tool("sh", get="apt-get install dash")
def test_with_a_tool_that_is_there():
    pass

@pytest.mark.xfail(reason="known", strict=True)
def test_expected_to_fail():
    raise AssertionError("as expected")
"""


def run(
    folder: Path, suite: str, *options: str, required: bool, place: str = "test_suite.py"
) -> tuple[int, str]:
    """The exit status and the output of a pytest of its own."""
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    (folder / place).write_text(suite)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = tool(name, get): needs a program\n")
    ended = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-ra", "-p", "tests.support.tools",
            "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestDeprecationWarning",
            "--import-mode=importlib", *options,
        ],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PROJECT),
            "ROTATOR_REQUIRE_TOOLS": "1" if required else "",
        },
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_missing_tool_is_named_at_the_end(tmp_path: Path, processes: str) -> None:
    status, text = run(tmp_path, SUITE, "-n", processes, required=False)
    assert status == 0, text
    assert "1 passed, 1 skipped, 1 xfailed" in text
    section = text.rpartition("skipped for want of a tool")[2].splitlines()[1:]
    assert section[0] == "no-such-tool: apt-get install nothing"
    assert section[1].strip() == "test_suite.py::test_with_a_tool_that_is_missing"
    assert len(section) == 3, "only the count of tests stands behind it"


@pytest.mark.parametrize("processes", ["0", "2"])
def test_where_all_tools_must_be_there_a_missing_one_fails(tmp_path: Path, processes: str) -> None:
    status, text = run(tmp_path, SUITE, "-n", processes, required=True)
    assert status == 1, text
    assert "1 passed, 1 xfailed, 1 error" in text
    assert "no-such-tool is missing: apt-get install nothing" in text


@pytest.mark.parametrize(
    "suite",
    [
        "import pytest\n\ndef test_it():\n    pytest.skip('for no reason')\n",
        "import pytest\npytest.skip('for no reason', allow_module_level=True)\n",
        "import pytest\n\n@pytest.mark.skip(reason='for no reason')\ndef test_it(): ...\n",
    ],
)
def test_any_other_skip_fails_there_too_unless_it_is_listed(tmp_path: Path, suite: str) -> None:
    assert run(tmp_path, suite, required=False)[0] in {0, 5}
    status, text = run(tmp_path, suite, required=True)
    assert status not in {0, 5}, text
    assert "for no reason" in text
    (tmp_path / "test_suite.py").unlink()
    status, text = run(tmp_path, suite, required=True, place="tests/contract/test_it.py")
    assert status in {0, 5}, text
