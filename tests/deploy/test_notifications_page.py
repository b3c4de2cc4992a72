"""What the page about notifications shows works as it stands there."""

from __future__ import annotations

import json
import re
import runpy
import time
from datetime import UTC, datetime
from pathlib import Path

import yaml

from rotator.config.load import load
from rotator.errors import Cause
from rotator.model.events import Occasion
from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.notify.courier import BACKOFF, LONGEST_TRIED, MOST_ATTEMPTS, MOST_WAITING
from rotator.notify.decisions import AGAIN_AFTER, FinishedRun
from rotator.notify.message import MOST_CONNECTIONS, notification, signature
from rotator.notify.notifier import GRACE
from rotator.notify.receiver import PATIENCE
from rotator.remedy import remedy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "deploy" / "notifications.md").read_text()
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
(YAML, JSON, PYTHON) = (text for _, text in _BLOCK.findall(PAGE))
NOW = datetime(2026, 11, 20, 3, 0, 7, tzinfo=UTC)


def test_the_configuration_loads(tmp_path: Path) -> None:
    whole = yaml.safe_load((ROOT / "config" / "minimal.yaml").read_text()) | yaml.safe_load(YAML)
    file = tmp_path / "rotator.yaml"
    file.write_text(yaml.safe_dump(whole))
    assert len(load(file).notify) == 2


def test_the_example_has_exactly_the_keys_that_are_sent() -> None:
    run = Run("run-1", "openai", "schedule", NOW, NOW, RunResult.FAILED, "1 failed")
    outcome = Outcome("run-1", "openai", "prod", "a", Result.FAILED, "INVALID_AUTH", NOW)
    ended = FinishedRun(run, (outcome,), 40, remedy(Cause.REJECTED, "openai"))
    sent = json.loads(notification(ended, Occasion.FAILED, ("prod",)).body)
    shown = json.loads(JSON)
    assert list(shown) == list(sent)
    assert [list(each) for each in shown["connections"]] == [list(sent["connections"][0])]
    assert shown["todo"] == sent["todo"]
    assert shown["time"] == sent["time"]
    for key in sent:
        assert f"`{key}`" in PAGE, key


def test_the_snippet_verifies_what_is_signed(tmp_path: Path) -> None:
    file = tmp_path / "verify.py"
    file.write_text(PYTHON)
    verify = runpy.run_path(str(file))["verify"]
    now, body = int(time.time()), b'{"version":1}'
    header = signature("canary", now, body)
    assert verify(header, body, "canary")
    assert not verify(header, body, "another")
    assert not verify(header, body + b" ", "canary")
    assert not verify(header.replace(f"t={now}", f"t={now + 1}"), body, "canary")
    assert not verify(signature("canary", now - 301, body), body, "canary")


def test_the_numbers_are_those_of_the_code() -> None:
    for said in (
        f"every {AGAIN_AFTER.total_seconds() / 3600:g} hours",
        f"within {PATIENCE:g} s",
        f"{BACKOFF.longest / 60:g} minutes at the most between",
        f"after {MOST_ATTEMPTS} attempts or {LONGEST_TRIED / 60:g} minutes",
        f"{MOST_WAITING} wait\n  at the most",
        f"for {GRACE:g} s in all",
        f"{MOST_CONNECTIONS} at the most",
    ):
        assert said in PAGE, said
