"""Every metric of the interface, from the events that everybody sees."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from rotator.config.models import VaultSource
from rotator.confluent.phases import condition
from rotator.model.connection import Connection
from rotator.model.events import (
    Event,
    LeaseChanged,
    LeasesSeen,
    Listed,
    Notified,
    Occasion,
    Planned,
    RequestAnswered,
    RunFinished,
    RunStarted,
    Settled,
    SourceRead,
    TokenSeen,
)
from rotator.model.lease import HeldLease, LeaseState
from rotator.model.plan import Change, Verdict
from rotator.model.record import Record, Stage
from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.model.secret import SecretRef
from rotator.observe.metrics import Metrics
from tests.support.configuration import configured

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


CONNECTION = r'connection="[^"]*"'
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def change(name: str, phase: str = "READY", target: str = "prod") -> Change:
    connection = Connection(target, name, "OPENAI", "https://example.com", phase, condition(phase))
    return Change(connection, Verdict.NEW, "never rotated before")


def update(name: str) -> Change:
    return replace(change(name), verdict=Verdict.CHANGED, update=True)


def outcome(name: str, result: Result = Result.ROTATED, phase: str = "READY") -> Outcome:
    return Outcome("run-1", "openai", "prod", name, result, "why", LATER, phase, verify_seconds=1.5)


def looked(*changes: Change, run: str = "run-1", rotation: str = "openai") -> tuple[Event, ...]:
    """What a run tells before it updates anything."""
    connections = tuple(each.connection for each in changes)
    targets = frozenset({"prod", *(each.target for each in connections)})
    return Listed(rotation, targets, connections), Planned(run, rotation, changes)


def text_of(metrics: Metrics) -> str:
    return metrics.scrape("")[0].decode()


def filled() -> Metrics:
    metrics = Metrics(lambda: NOW)
    metrics.configured(configured(openai={}))
    metrics.reloaded(successful=True)
    metrics.next_run("openai", LATER)
    for event in (
        RunStarted(replace(RUN, finished_at=None, result=None)),
        *looked(update("a"), update("b")),
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
    for registry in (metrics.registry, metrics.connections):
        for family in registry.collect():
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
    return None


def test_the_names_are_those_of_the_interface() -> None:
    families = {f.name for f in text_string_to_metric_families(text_of(filled()))}
    assert {
        "rotator_build_info",
        "rotator_runs",
        "rotator_run_duration_seconds",
        "rotator_run_last_timestamp_seconds",
        "rotator_run_last_success_timestamp_seconds",
        "rotator_run_next_timestamp_seconds",
        "rotator_run_under_way",
        "rotator_credentials",
        "rotator_secret_changes",
        "rotator_change_to_ready_seconds",
        "rotator_target_last_success_timestamp_seconds",
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
    assert 'state="' not in text_of(metrics)


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
    before = text_of(metrics)
    metrics(RunFinished(replace(RUN, result=RunResult.INTERRUPTED)))
    assert text_of(metrics) == before


def test_series_of_what_is_gone_go_with_it() -> None:
    metrics = filled()
    for event in looked(change("b")):
        metrics(event)
    text = text_of(metrics)
    assert 'connection="a"' not in text
    assert 'connection="b"' in text
    metrics.configured(configured(other={}))
    metrics(LeasesSeen(()))
    assert "openai" not in text_of(metrics)


def test_series_of_a_target_that_a_rotation_leaves_go_with_it() -> None:
    metrics = filled()
    metrics(Listed("openai", frozenset({"test"}), (change("c", target="test").connection,)))
    both = configured(openai={"targets": ["prod", "test"]})
    metrics.configured(both)
    assert {'connection="a"', 'connection="c"'} <= set(re.findall(CONNECTION, text_of(metrics)))
    metrics.configured(configured(openai={"targets": ["test"]}))
    assert set(re.findall(CONNECTION, text_of(metrics))) == {'connection="c"'}


def test_a_listing_that_failed_takes_nothing_away() -> None:
    metrics = filled()
    elsewhere = change("c", target="other").connection
    metrics(Listed("openai", frozenset({"other"}), (elsewhere,)))
    assert 'connection="a"' in text_of(metrics)
    metrics(Listed("openai", frozenset({"prod", "other"}), ()))
    assert "connection=" not in text_of(metrics)


def test_a_connection_stays_while_another_rotation_lists_it() -> None:
    metrics = filled()
    claimed = replace(change("a"), verdict=Verdict.INVALID)
    for event in looked(claimed, rotation="second"):
        metrics(event)
    labels = {"target": "prod", "connection": "a", "rotation": "openai"}
    rotated = "rotator_connection_last_rotated_timestamp_seconds"
    assert value(metrics, rotated, **labels) is not None, "a claim takes nothing over"
    metrics(Listed("openai", frozenset({"prod"}), ()))
    text = text_of(metrics)
    assert 'connection="a"' in text
    assert 'connection="b"' not in text
    metrics(Listed("second", frozenset({"prod"}), ()))
    assert "connection=" not in text_of(metrics)


def test_a_schedule_that_is_gone_has_no_next_run() -> None:
    metrics = filled()
    metrics.next_run("openai", None)
    assert value(metrics, "rotator_run_next_timestamp_seconds", rotation="openai") is None


def test_an_unknown_phase_is_shown_by_its_name() -> None:
    metrics = filled()
    metrics(Listed("openai", frozenset({"prod"}), (change("a", "DEGRADED").connection,)))
    labels = {"target": "prod", "connection": "a"}
    assert value(metrics, "rotator_connection_phase", phase="DEGRADED", **labels) == 1


def test_a_restart_loses_nothing_that_the_ledger_knows() -> None:
    metrics = Metrics(lambda: NOW)
    metrics.configured(configured(openai={}))
    record = Record(
        "prod", "a", "openai", Stage.VERIFIED, "f", "v", "2", "1", "run", NOW,
        rotated_at=NOW, verified_at=LATER,
    )  # fmt: skip
    gone = replace(record, connection="gone", gone_at=LATER)
    metrics.restore([record, replace(record, rotation="former"), gone], [RUN], [RUN])
    assert 'connection="gone"' not in text_of(metrics)
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
    shown = text_of(metrics)
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
    hidden = text_of(metrics)
    assert "rotator_leader 0.0" in hidden
    assert not [name for name in of_the_leader if name in hidden]
    assert 'rotator_runs_total{result="succeeded",rotation="openai"} 1.0' in hidden

    # What another leader did since is not known until a look.
    metrics.leader(leads=True)
    again = text_of(metrics)
    assert "rotator_connection_phase{" not in again
    assert "rotator_connection_last_rotated_timestamp_seconds{" in again
    metrics(Listed("openai", frozenset({"prod"}), (change("a").connection,)))
    assert "rotator_connection_phase{" in text_of(metrics)


def test_odd_names_break_nothing() -> None:
    metrics = filled()
    odd = 'a"b\\c\nd ü {x="1"} 1'
    metrics(Listed("openai", frozenset({"prod"}), (change(odd).connection,)))
    families = text_string_to_metric_families(text_of(metrics))
    found = {
        sample.labels["connection"]
        for family in families
        if family.name == "rotator_connection_phase"
        for sample in family.samples
    }
    assert found == {odd}
    half = change("half \ud800", "\udfff").connection
    metrics(Listed("openai", frozenset({"prod"}), (half,)))
    assert 'connection="half ?",phase="?"' in text_of(metrics)


def test_five_thousand_connections_are_at_most_twelve_series_each() -> None:
    metrics = Metrics()
    names = [f"openai-{number:04d}" for number in range(5000)]
    for event in looked(*(change(name) for name in names)):
        metrics(event)
    for name in names:
        metrics(Settled(outcome(name)))
    text = metrics.scrape(OPENMETRICS)[0].decode()
    assert text.endswith("# EOF\n")
    assert 1 <= text.count('connection="openai-0007"') <= 12
    assert text.count('connection="') == 5000 * (4 + 2)


@pytest.mark.parametrize("accept", ["", OPENMETRICS], ids=["text", "openmetrics"])
def test_the_series_of_connections_are_written_as_the_library_would(accept: str) -> None:
    metrics = filled()
    odd = ('a"b\\c\nd', "ü", "half \ud800", 'x="1"} 1\n# EOF')
    for event in looked(*(change(name, phase) for name in odd for phase in ("READY", *odd))):
        metrics(event)
        metrics(Settled(outcome(odd[0], phase=odd[2])))
    encode, _ = choose_encoder(accept)
    own = metrics.connections.exposition()
    assert own == encode(metrics.connections).removesuffix(b"# EOF\n")
    metrics(Settled(outcome(odd[1], Result.FAILED, "INVALID_AUTH")))
    assert metrics.connections.exposition() != own, "what is kept follows what happens"
    assert metrics.connections.exposition() == encode(metrics.connections).removesuffix(b"# EOF\n")
    metrics.leader(leads=False)
    assert metrics.connections.exposition() == encode(metrics.connections).removesuffix(b"# EOF\n")


def test_openmetrics_names_the_run_behind_a_number() -> None:
    families = openmetrics(filled().scrape(OPENMETRICS)[0].decode())  # type: ignore[no-untyped-call] # no types
    found = {
        sample.name: sample.exemplar.labels["run_id"]
        for family in families
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert found == dict.fromkeys(
        (
            "rotator_runs_total",
            "rotator_run_duration_seconds_bucket",
            "rotator_credentials_total",
            "rotator_secret_changes_total",
            "rotator_change_to_ready_seconds_bucket",
            "rotator_verify_duration_seconds_bucket",
        ),
        "run-1",
    )


def test_a_schedule_says_by_when_a_good_run_is_due() -> None:
    metrics = Metrics(lambda: NOW)
    due = "rotator_run_due_timestamp_seconds"
    nightly = {"schedule": {"cron": "0 3 * * *", "jitter": "5m"}}
    metrics.configured(configured(openai=nightly, watched={"watch": "1m"}))
    at = datetime(2026, 11, 21, 3, 5, tzinfo=UTC)
    assert value(metrics, due, rotation="openai") == at.timestamp(), "not before it was configured"
    assert value(metrics, due, rotation="watched") is None
    metrics.restore([], [], [replace(RUN, finished_at=NOW - timedelta(days=2))])
    late = datetime(2026, 11, 19, 3, 5, tzinfo=UTC)
    assert value(metrics, due, rotation="openai") == late.timestamp(), "missed while it was down"
    metrics(RunFinished(replace(RUN, result=RunResult.FAILED)))
    assert value(metrics, due, rotation="openai") == late.timestamp(), "a failure settles nothing"
    metrics(RunFinished(RUN))
    assert value(metrics, due, rotation="openai") == at.timestamp()
    metrics.configured(configured(openai={}))
    assert value(metrics, due, rotation="openai") is None, "no schedule any more"


def test_a_policy_on_age_is_shown_while_it_stands() -> None:
    metrics = Metrics()
    age = "rotator_credential_max_age_seconds"
    metrics.configured(configured(openai={"max_age": "30d"}, other={}))
    assert value(metrics, age, rotation="openai") == 30 * 86_400
    assert value(metrics, age, rotation="other") is None
    metrics.configured(configured(openai={}))
    assert value(metrics, age, rotation="openai") is None


def test_a_run_is_under_way_until_it_ends() -> None:
    metrics = filled()
    name = "rotator_run_under_way"
    assert value(metrics, name, rotation="openai") == 0
    metrics(RunStarted(replace(RUN, finished_at=None, result=None)))
    assert value(metrics, name, rotation="openai") == 1
    metrics(RunFinished(replace(RUN, result=RunResult.INTERRUPTED)))
    assert value(metrics, name, rotation="openai") == 0


def test_the_clock_of_a_target_and_its_last_answer() -> None:
    metrics = filled()
    metrics(RequestAnswered("prod", "GET", "200", 0.05, None, -7.5))
    metrics(RequestAnswered("prod", "GET", "503", 0.05))
    assert value(metrics, "rotator_target_clock_skew_seconds", target="prod") == -7.5
    last = value(metrics, "rotator_target_last_success_timestamp_seconds", target="prod")
    assert last == NOW.timestamp()
    elsewhere = configured(openai={}).model_copy(update={"targets": {}, "sources": {}})
    metrics.configured(elsewhere)
    assert "rotator_target_requests_total{" not in text_of(metrics)


def test_a_source_that_is_gone_takes_its_series_with_it() -> None:
    metrics = Metrics(lambda: NOW)
    metrics.configured(configured(openai={}))
    metrics(SourceRead("files", "read", "ok", 0.01))
    metrics(TokenSeen("files", LATER))
    assert text_of(metrics).count('source="files"') > 10
    metrics.configured(configured(openai={}).model_copy(update={"sources": {}}))
    assert 'source="files"' not in text_of(metrics)


def test_a_token_from_a_person_differs_from_one_that_rotator_gets_itself() -> None:
    config, metrics = configured(openai={}), Metrics()
    auths = {
        "given": {"method": "token", "token": {"env": "VAULT_TOKEN"}},
        "own": {"method": "kubernetes", "role": "rotator"},
    }
    sources = {
        name: VaultSource.model_validate({"kind": "vault", "url": "https://v", "auth": auth})
        for name, auth in auths.items()
    }
    metrics.configured(config.model_copy(update={"sources": {**config.sources, **sources}}))
    name = "rotator_source_token_replaceable"
    assert [value(metrics, name, source=each) for each in ("given", "own", "files")] == [0, 1, None]
    metrics.configured(config.model_copy(update={"sources": {"own": config.sources["files"]}}))
    assert value(metrics, name, source="own") is None


def test_changes_of_secrets_count_once_in_time_or_late() -> None:
    now = [NOW]
    metrics = Metrics(lambda: now[0])
    metrics.configured(configured(openai={"watch": "1m"}))
    by = {"rotation": "openai", "target": "prod"}

    def counted() -> tuple[float | None, float | None]:
        name = "rotator_secret_changes_total"
        return (
            value(metrics, name, result="in_time", **by),
            value(metrics, name, result="late", **by),
        )

    assert counted() == (0, 0)
    metrics(RunStarted(replace(RUN, finished_at=None, result=None)))
    for event in looked(update("a"), update("b")):
        metrics(event)
    metrics(Settled(replace(outcome("a"), at=NOW + timedelta(minutes=2))))
    metrics(Settled(outcome("b", Result.FAILED)))
    assert counted() == (1, 0)
    now[0] += timedelta(minutes=20)
    metrics.tick()
    metrics.tick()
    assert counted() == (1, 1), "late once"
    total = "rotator_change_to_ready_seconds_count"
    assert value(metrics, total, rotation="openai") == 1
    metrics(Settled(replace(outcome("b"), at=now[0])))
    assert counted() == (1, 1), "counted already"
    assert value(metrics, total, rotation="openai") == 2


@pytest.mark.tool("promtool", get="apt-get install prometheus")
def test_promtool_finds_nothing_to_say() -> None:
    text = filled().scrape("")[0]
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
