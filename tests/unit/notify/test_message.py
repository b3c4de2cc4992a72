"""The schema that receivers rely on, the line that Slack shows, and the signature."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rotator.model.events import Occasion
from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.notify.decisions import FinishedRun
from rotator.notify.message import MOST_CONNECTIONS, escaped, notification, signature

NOW = datetime(2026, 11, 20, 3, 0, 5, 123456, tzinfo=UTC)
RUN = Run("run-1", "openai", "schedule", NOW, NOW, RunResult.FAILED, "3 failed; 37 not touched")
REMEDY = "see why: rotator plan openai; then: rotator rotate openai"


def outcome(
    connection: str, reason: str = "INVALID_AUTH", result: Result = Result.FAILED
) -> Outcome:
    return Outcome("run-1", "openai", "prod", connection, result, reason, NOW, "INVALID_AUTH")


THREE = FinishedRun(RUN, (outcome("c"), outcome("a"), outcome("b")), 40, REMEDY)


def content(ended: FinishedRun, occasion: Occasion = Occasion.FAILED) -> dict[str, Any]:
    body = notification(ended, occasion, ("prod", "staging")).body
    found: dict[str, Any] = json.loads(body)
    return found


def test_every_key_is_always_there() -> None:
    told = content(THREE)
    assert told == {
        "version": 1,
        "id": "run-1-failed",
        "event": "failed",
        "time": "2026-11-20T03:00:05Z",
        "rotation": "openai",
        "run": "run-1",
        "targets": ["prod", "staging"],
        "connections": [
            {
                "target": "prod",
                "connection": name,
                "phase": "INVALID_AUTH",
                "reason": "INVALID_AUTH",
            }
            for name in "abc"
        ],
        "connections_total": 3,
        "connections_matched": 40,
        "reason": "3 failed; 37 not touched",
        "todo": REMEDY,
        "text": "rotation openai failed: 3 of 40 connections (prod/a: INVALID_AUTH; "
        "prod/b: INVALID_AUTH; prod/c: INVALID_AUTH). 3 failed; 37 not touched. "
        "See why: rotator plan openai; then: rotator rotate openai",
    }
    fine = replace(RUN, result=RunResult.SUCCEEDED, reason="", counts={"rotated": 40})
    recovered = content(FinishedRun(fine, (), 40), Occasion.RECOVERED)
    assert recovered.keys() == told.keys()
    assert (recovered["todo"], recovered["connections"]) == ("", [])
    assert recovered["text"] == "rotation openai recovered: 40 rotated"


def test_a_run_without_a_plan() -> None:
    told = content(FinishedRun(replace(RUN, reason="source vault: it is sealed"), remedy=REMEDY))
    assert (told["connections"], told["connections_total"]) == ([], 0)
    assert told["connections_matched"] is None
    assert told["text"].startswith("rotation openai failed: source vault: it is sealed. See why")


def test_a_refusal_says_so() -> None:
    refused = replace(RUN, result=RunResult.REFUSED, reason="matches 0 connections")
    assert content(FinishedRun(refused, (), 0, REMEDY))["text"].startswith(
        "rotation openai was refused: matches 0 connections. "
    )


def test_what_was_rolled_back_comes_first_where_it_is_the_news() -> None:
    back = outcome("z", "has its former credential", Result.ROLLED_BACK)
    ended = FinishedRun(RUN, (outcome("a"), back), 2)
    assert [x["connection"] for x in content(ended)["connections"]] == ["a", "z"]
    told = content(ended, Occasion.ROLLED_BACK)
    assert [x["connection"] for x in told["connections"]] == ["z", "a"]
    assert told["text"].startswith("rotation openai rolled back: 2 of 2 connections (prod/z: has")


def test_many_connections_are_counted_rather_than_listed() -> None:
    told = content(FinishedRun(RUN, tuple(outcome(f"c{n:05}") for n in range(10_000)), 12_000))
    assert (len(told["connections"]), told["connections_total"]) == (MOST_CONNECTIONS, 10_000)
    assert "10000 of 12000 connections (prod/c00000: " in told["text"]
    assert "; and 9997 more)" in told["text"]


def test_long_and_odd_reasons_stay_one_short_line() -> None:
    troubles = outcome("a", "x" * 5000), outcome("b", "two\nlines\ud800\x07 é")
    told = content(FinishedRun(RUN, troubles, 2))
    long, odd = (connection["reason"] for connection in told["connections"])
    assert (len(long), long[-1]) == (500, "…")
    assert odd == "two lines\\ud800 é"
    assert "\n" not in told["text"]
    assert len(notification(THREE, Occasion.FAILED, ()).body) < 2000


def test_a_name_that_others_chose_mentions_nobody() -> None:
    ended = FinishedRun(RUN, (outcome("<!channel>", "a & b <https://evil.example|click>"),), 1)
    told = content(ended)
    assert "(prod/&lt;!channel&gt;: a &amp; b &lt;https://evil.example|click&gt;)" in told["text"]
    assert told["connections"][0]["connection"] == "<!channel>"
    assert escaped("&lt;") == "&amp;lt;"


def test_the_id_belongs_to_the_run_and_the_event() -> None:
    first, again = (notification(THREE, Occasion.FAILED, ()) for _ in range(2))
    assert first == again
    assert notification(THREE, Occasion.RECOVERED, ()).id == "run-1-recovered"


def test_a_notification_shows_no_body() -> None:
    assert "INVALID_AUTH" not in repr(notification(THREE, Occasion.FAILED, ()))


def test_the_signature_is_what_openssl_makes_of_it() -> None:
    # printf '1800000000.{}' | openssl dgst -sha256 -hmac secret
    assert signature("secret", 1_800_000_000, b"{}") == (
        "t=1800000000,v1=bb7079132825ac793cea8c013c1dd24d926b9b02132245b10588d9e5c0df70d7"
    )
    assert signature("secret", 1_800_000_001, b"{}") != signature("secret", 1_800_000_000, b"{}")
