from __future__ import annotations

import os

import pytest

pytest_plugins = ["tests.support.tools"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors: half of the time, tests wait for other processes."""
    return len(os.sched_getaffinity(0)) + 2
