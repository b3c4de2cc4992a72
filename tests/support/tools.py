"""Programs that tests need, and what may be skipped where everything is there.

`make test` skips a test whose program is missing, and ends by saying how to get it. With
ROTATOR_REQUIRE_TOOLS=1 (as .ci/run sets it) every skip is a failure, but for those in `MAY_SKIP`.
"""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRED = os.environ.get("ROTATOR_REQUIRE_TOOLS") == "1"

MAY_SKIP = {
    "beside the project": "the published contract and captured answers are no part of it",
}
"""Words in the reason of a skip → why it may stand."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("tool"):
        name, get = marker.args[0], marker.kwargs["get"]
        if shutil.which(name) is None:
            if REQUIRED:
                pytest.fail(f"{name} is missing: {get}", pytrace=False)
            pytest.skip(f"{name} is missing: {get}")


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    tools = sorted({text.split("Skipped: ")[-1].strip("')") for text in skipped})
    if tools:
        terminalreporter.section("skipped, for want of", sep="-")
        for reason in tools:
            count = sum(reason in text for text in skipped)
            terminalreporter.line(f"{reason}  ({count} tests)")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if not REQUIRED or exitstatus != 0:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    for report in reporter.stats.get("skipped", []):
        if not any(words in str(report.longrepr) for words in MAY_SKIP):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            reporter.line(f"skipped without leave: {report.nodeid}", red=True)
