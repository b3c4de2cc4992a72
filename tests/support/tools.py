"""Programs that tests need, and which tests may be skipped even if all programs are there.

`make test` skips a test whose program is missing, and says at the end how to get it. With
ROTATOR_REQUIRE_TOOLS=1 (as .ci/run sets it) every skip is a failure, except those in `MAY_SKIP`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from fnmatch import fnmatchcase
from typing import Any

import pytest

REQUIRED = os.environ.get("ROTATOR_REQUIRE_TOOLS") == "1"

MAY_SKIP = {
    "tests/contract/*": "the published contract is no part of the project",
    "tests/contract/test_vault_server.py*": "a real Vault is asked only where one is named",
    "tests/unit/rotation/test_types_contract.py*": "the facts of the API are no part of it either",
}
"""Pattern of a test's id → why it may be skipped even with all tools."""

_MISSING = "missing tool"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("tool"):
        name, get = marker.args[0], marker.kwargs["get"]
        if shutil.which(name) is None:
            item.user_properties.append((_MISSING, f"{name}: {get}"))
            pytest.skip(f"{name} is missing: {get}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _judge(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _judge(report)
    return report


def _judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turns a skip into a failure if nothing may be skipped. (An expected failure is no skip.)"""
    if not REQUIRED or not report.skipped or hasattr(report, "wasxfail"):
        return
    if any(fnmatchcase(report.nodeid, pattern) for pattern in MAY_SKIP):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{reason} (nothing may be skipped with ROTATOR_REQUIRE_TOOLS=1)"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, Any, Any]:
    """After everything else: which tools are missing, how to get them, what was skipped."""
    result = yield
    missing: dict[str, set[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        for name, tool in report.user_properties if hasattr(report, "user_properties") else ():
            if name == _MISSING:
                missing.setdefault(tool, set()).add(report.nodeid)
    if missing:
        terminalreporter.section("skipped for want of a tool", sep="-")
        for tool, tests in sorted(missing.items()):
            terminalreporter.line(tool)
            for test in sorted(tests):
                terminalreporter.line(f"    {test}")
    return result
