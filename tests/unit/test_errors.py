"""What an error says of itself to those who only know that it is one."""

from __future__ import annotations

import pytest

from rotator.errors import (
    Cause,
    CredentialInvalid,
    KeyRefused,
    LedgerError,
    PlanRefused,
    PolicyDenied,
    RotatorError,
    RunInProgress,
    SecretDeleted,
    SourceUncertain,
    TargetRefused,
    TargetUnavailable,
    UpdateUncertain,
)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (SourceUncertain("vault", "kv/a", "no answer"), Cause.SECRET),
        (PolicyDenied("vault", "kv/a", "no"), Cause.SECRET),
        (SecretDeleted("vault", "kv/a", "no"), Cause.SECRET),
        (CredentialInvalid("no field api_key"), Cause.CREDENTIAL),
        (PlanRefused("too many", Cause.MATCH), Cause.MATCH),
        (KeyRefused("prod", "it doesn't know the key"), Cause.KEY),
        (TargetRefused("prod", "not found"), Cause.REFUSED),
        (TargetUnavailable("prod", "its rate limit holds"), Cause.TARGET),
        (UpdateUncertain("prod", "no answer"), Cause.TARGET),
        (LedgerError("the disk is full"), Cause.LEDGER),
        (RunInProgress("openai", None), Cause.OTHER),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_comes_down_to_a_cause(error: RotatorError, cause: Cause) -> None:
    assert error.cause is cause


@pytest.mark.parametrize(
    ("error", "place"),
    [
        (SecretDeleted("vault", "kv/a", "no"), {"source": "vault"}),
        (
            TargetRefused("prod", "no", status=400, request_id="r-7"),
            {"target": "prod", "request_id": "r-7"},
        ),
        (TargetUnavailable("prod", "can't connect"), {"target": "prod"}),
        (LedgerError("the disk is full"), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_its_line_in_the_log_names_the_place(error: RotatorError, place: dict[str, str]) -> None:
    assert error.fields() == {**place, "reason": str(error)}
    assert error.request_id == place.get("request_id")
