"""Every metric of the interface, from the events that everybody sees."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rotator.model import (
    Change,
    Connection,
    HeldLease,
    LeaseChanged,
    LeasesSeen,
    LeaseState,
    Notified,
    Occasion,
    Outcome,
    Planned,
    Record,
    RequestAnswered,
    Result,
    Run,
    RunFinished,
    RunResult,
    SecretRef,
    Settled,
    SourceRead,
    Stage,
    TokenSeen,
    Verdict,
)
from rotator.observe.metrics import Metrics

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 20, 12, 1, tzinfo=UTC)
LEASE = HeldLease(
    id="database/creds/flink/one",
    ref=SecretRef("vault", "creds/flink", "database", holder="openai"),
    rotation="openai",
    run_id="run-1",
    state=LeaseState.LIVE,
    made_at=NOW,
    duration=3600,
    renewable=True,
    expires_at=LATER,
    mapping="m",
)
RUN = Run("run-1", "openai", "command", NOW, LATER, RunResult.SUCCEEDED)


def change(name: str, phase: str = "READY", target: str = "prod") -> Change:
    connection = Connection(target, name, "OPENAI", "https://example.com", phase)
    return Change(connection, Verdict.NEW, "never rotated before")


def outcome(name: str, result: Result = Result.ROTATED, phase: str = "READY") -> Outcome:
    return Outcome("run-1", "openai", "prod", name, result, "why", LATER, phase, verify_seconds=1.5)


def filled() -> Metrics:
    metrics = Metrics()
    metrics.configured({"openai": ("prod",)})
    metrics.reloaded(successful=True)
    metrics.next_run("openai", LATER)
    for event in (
        Planned("run-1", "openai", (change("a"), change("b"))),
        RequestAnswered("prod", "PUT", "200", 0.05),
        RequestAnswered("prod", "GET", "429", 0.05),
        SourceRead("vault", "read", "ok", 0.01),
        Settled(outcome("a")),
        Settled(outcome("b", Result.FAILED, "INVALID_AUTH")),
        RunFinished(RUN),
        TokenSeen("vault", LATER),
        LeaseChanged(LEASE, "made"),
        LeasesSeen((LEASE,)),
    ):
        metrics(event)
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_the_names_are_those_of_the_interface() -> None:
    families = {
        f.name for f in text_string_to_metric_families(generate_latest(filled().registry).decode())
    }
    assert {
        "rotator_build_info",
        "rotator_runs",
        "rotator_run_duration_seconds",
        "rotator_run_last_timestamp_seconds",
        "rotator_run_last_success_timestamp_seconds",
        "rotator_run_next_timestamp_seconds",
        "rotator_credentials",
        "rotator_connection_phase",
        "rotator_connection_last_rotated_timestamp_seconds",
        "rotator_connection_last_verified_timestamp_seconds",
        "rotator_verify_duration_seconds",
        "rotator_target_requests",
        "rotator_target_request_duration_seconds",
        "rotator_target_throttled",
        "rotator_source_reads",
        "rotator_source_read_duration_seconds",
        "rotator_source_last_success_timestamp_seconds",
        "rotator_source_token_expiry_timestamp_seconds",
        "rotator_lease_expiry_timestamp_seconds",
        "rotator_leases",
        "rotator_lease_changes",
        "rotator_notifications",
        "rotator_config_last_reload_successful",
    } <= families


def test_notifications_are_counted_once_they_are_over() -> None:
    metrics = Metrics()
    for result in ("delayed", "sent", "dropped", "dropped"):
        metrics(Notified("run-1-failed", Occasion.FAILED, "openai", "a.example", result))

    def counted(event: str, result: str) -> float | None:
        return value(metrics, "rotator_notifications_total", event=event, result=result)

    assert (counted("failed", "sent"), counted("failed", "dropped")) == (1, 2)
    assert counted("quarantined", "failed") == 0, "there before the first of them"
    assert counted("failed", "delayed") is None


def test_values() -> None:
    metrics = filled()
    last = LATER.timestamp()
    assert value(metrics, "rotator_runs_total", rotation="openai", result="succeeded") == 1
    assert value(metrics, "rotator_runs_total", rotation="openai", result="refused") == 0
    assert value(metrics, "rotator_run_last_success_timestamp_seconds", rotation="openai") == last
    assert value(metrics, "rotator_target_throttled_total", target="prod") == 1
    by_outcome = {"rotation": "openai", "target": "prod"}
    assert value(metrics, "rotator_credentials_total", outcome="failed", **by_outcome) == 1
    assert value(metrics, "rotator_credentials_total", outcome="skipped", **by_outcome) == 0
    b = {"target": "prod", "connection": "b"}
    assert value(metrics, "rotator_connection_phase", phase="INVALID_AUTH", **b) == 1
    assert value(metrics, "rotator_connection_phase", phase="READY", **b) == 0
    rotated = "rotator_connection_last_rotated_timestamp_seconds"
    assert value(metrics, rotated, target="prod", connection="a", rotation="openai") == last - 1.5


def test_leases_end_with_the_first_of_them_or_with_its_token() -> None:
    metrics = filled()
    place = {"source": "vault", "rotation": "openai"}
    ends = "rotator_lease_expiry_timestamp_seconds"
    assert value(metrics, ends, **place) == LATER.timestamp()
    later = replace(LEASE, id="two", expires_at=LATER.replace(hour=20))
    metrics(LeasesSeen((later, replace(later, id="three", owner_ends_at=NOW))))
    assert value(metrics, ends, **place) == NOW.timestamp()
    assert value(metrics, "rotator_leases", state="live", **place) == 2
    retired = replace(later, state=LeaseState.RETIRED)
    metrics(LeasesSeen((retired,)))
    assert value(metrics, ends, **place) is None, "nobody lives on a retired one"
    assert value(metrics, "rotator_leases", state="live", **place) is None
    assert value(metrics, "rotator_leases", state="retired", **place) == 1
    metrics(LeasesSeen((replace(LEASE, expires_at=None),)))
    assert value(metrics, ends, **place) is None, "it never ends"
    metrics(LeasesSeen(()))
    assert 'state="' not in generate_latest(metrics.registry).decode()


def test_a_token_that_never_ends_has_no_end() -> None:
    metrics = filled()
    ends = "rotator_source_token_expiry_timestamp_seconds"
    assert value(metrics, ends, source="vault") == LATER.timestamp()
    metrics(TokenSeen("vault", None))
    assert value(metrics, ends, source="vault") is None


def test_only_a_read_that_worked_moves_the_last_success_of_its_source() -> None:
    metrics = Metrics()
    success = "rotator_source_last_success_timestamp_seconds"
    metrics(SourceRead("vault", "read", "unavailable", 1.0, "source vault: it is sealed"))
    metrics(SourceRead("vault", "login", "ok", 1.0))
    assert value(metrics, success, source="vault") is None
    metrics(SourceRead("vault", "probe", "ok", 1.0))
    assert value(metrics, success, source="vault") is not None
    assert value(metrics, "rotator_source_reads_total", source="vault", result="unavailable") == 1


def test_a_failure_doesnt_move_the_last_success() -> None:
    metrics = filled()
    failed = replace(RUN, finished_at=LATER.replace(hour=20), result=RunResult.FAILED)
    metrics(RunFinished(failed))
    success = value(metrics, "rotator_run_last_success_timestamp_seconds", rotation="openai")
    assert success == LATER.timestamp()


def test_an_interrupted_run_is_not_counted() -> None:
    metrics = filled()
    before = generate_latest(metrics.registry)
    metrics(RunFinished(replace(RUN, result=RunResult.INTERRUPTED)))
    assert generate_latest(metrics.registry) == before


def test_series_of_what_is_gone_go_with_it() -> None:
    metrics = filled()
    metrics(Planned("run-2", "openai", (change("b"),)))
    text = generate_latest(metrics.registry).decode()
    assert 'connection="a"' not in text
    assert 'connection="b"' in text
    metrics.configured({"other": ("prod",)})
    metrics(LeasesSeen(()))
    assert "openai" not in generate_latest(metrics.registry).decode()


def test_a_listing_that_failed_takes_nothing_away() -> None:
    metrics = filled()
    metrics(Planned("run-2", "openai", (change("c", target="other"),), frozenset({"other"})))
    assert 'connection="a"' in generate_latest(metrics.registry).decode()
    metrics(Planned("run-3", "openai", (), frozenset({"prod", "other"})))
    assert "connection=" not in generate_latest(metrics.registry).decode()


def test_a_connection_stays_while_another_rotation_lists_it() -> None:
    metrics = filled()
    claimed = replace(change("a"), verdict=Verdict.INVALID)
    metrics(Planned("run-2", "second", (claimed,)))
    labels = {"target": "prod", "connection": "a", "rotation": "openai"}
    rotated = "rotator_connection_last_rotated_timestamp_seconds"
    assert value(metrics, rotated, **labels) is not None, "a claim takes nothing over"
    metrics(Planned("run-3", "openai", (), frozenset({"prod"})))
    text = generate_latest(metrics.registry).decode()
    assert 'connection="a"' in text
    assert 'connection="b"' not in text
    metrics(Planned("run-4", "second", (), frozenset({"prod"})))
    assert "connection=" not in generate_latest(metrics.registry).decode()


def test_a_schedule_that_is_gone_has_no_next_run() -> None:
    metrics = filled()
    metrics.next_run("openai", None)
    assert value(metrics, "rotator_run_next_timestamp_seconds", rotation="openai") is None


def test_an_unknown_phase_is_shown_by_its_name() -> None:
    metrics = filled()
    metrics(Planned("run-2", "openai", (change("a", "DEGRADED"), change("b"))))
    labels = {"target": "prod", "connection": "a"}
    assert value(metrics, "rotator_connection_phase", phase="DEGRADED", **labels) == 1


def test_a_restart_loses_nothing_that_the_ledger_knows() -> None:
    metrics = Metrics()
    metrics.configured({"openai": ("prod",)})
    record = Record(
        "prod", "a", "openai", Stage.VERIFIED, "f", "v", "2", "1", "run", NOW,
        rotated_at=NOW, verified_at=LATER,
    )  # fmt: skip
    metrics.restore([record, replace(record, rotation="former")], [RUN], [RUN])
    labels = {"target": "prod", "connection": "a", "rotation": "openai"}
    rotated = value(metrics, "rotator_connection_last_rotated_timestamp_seconds", **labels)
    assert rotated == NOW.timestamp()
    last = value(metrics, "rotator_run_last_success_timestamp_seconds", rotation="openai")
    assert last == LATER.timestamp()


def test_who_leads_no_more_shows_nothing_of_what_grows_old() -> None:
    metrics = filled()
    metrics(TokenSeen("vault", LATER))
    metrics(LeasesSeen((LEASE,)))
    metrics.leader(leads=True)
    shown = generate_latest(metrics.registry).decode()
    assert "rotator_leader 1.0" in shown
    of_the_leader = (
        "rotator_connection_phase{",
        "rotator_connection_last_rotated_timestamp_seconds{",
        "rotator_connection_last_verified_timestamp_seconds{",
        "rotator_source_token_expiry_timestamp_seconds{",
        "rotator_lease_expiry_timestamp_seconds{",
        "rotator_leases{",
    )
    assert all(name in shown for name in of_the_leader)
    metrics.leader(leads=False)
    hidden = generate_latest(metrics.registry).decode()
    assert "rotator_leader 0.0" in hidden
    assert not [name for name in of_the_leader if name in hidden]
    assert 'rotator_runs_total{result="succeeded",rotation="openai"} 1.0' in hidden

    # What another leader did since is not known until a look.
    metrics.leader(leads=True)
    again = generate_latest(metrics.registry).decode()
    assert "rotator_connection_phase{" not in again
    assert "rotator_connection_last_rotated_timestamp_seconds{" in again
    metrics(Planned("run-2", "openai", (change("a"), change("b"))))
    assert "rotator_connection_phase{" in generate_latest(metrics.registry).decode()


def test_odd_names_break_nothing() -> None:
    metrics = filled()
    odd = 'a"b\\c\nd ü {x="1"} 1'
    metrics(Planned("run-2", "openai", (change(odd),)))
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    found = {
        sample.labels["connection"]
        for family in families
        if family.name == "rotator_connection_phase"
        for sample in family.samples
    }
    assert found == {odd}
    metrics(Planned("run-3", "openai", (change("half \ud800", "\udfff"),)))
    assert 'connection="half ?",phase="?"' in generate_latest(metrics.registry).decode()


def test_five_thousand_connections_are_at_most_twelve_series_each() -> None:
    metrics = Metrics()
    names = [f"openai-{number:04d}" for number in range(5000)]
    metrics(Planned("run-1", "openai", tuple(change(name) for name in names)))
    for name in names:
        metrics(Settled(outcome(name)))
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    text = encode(metrics.registry).decode()
    assert text.endswith("# EOF\n")
    assert 1 <= text.count('connection="openai-0007"') <= 12
    assert text.count('connection="') == 5000 * (4 + 2)


@pytest.mark.tool("promtool", get="apt-get install prometheus")
def test_promtool_finds_nothing_to_say() -> None:
    text = generate_latest(filled().registry)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
