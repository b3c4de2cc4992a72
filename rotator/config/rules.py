"""Turns the configuration's rotations into the rules that the core reads. Nothing else does."""

from __future__ import annotations

from collections.abc import Mapping

from rotator.config.models import Config, Constant, RotationConfig
from rotator.model.rule import (
    FieldOf,
    Fixed,
    LeaseSharing,
    Matching,
    OnFailure,
    RolloutPolicy,
    Rule,
    SecretPlace,
    VerificationPolicy,
)


def rules(config: Config) -> Mapping[str, Rule]:
    """By name of the rotation, in the order of the file."""
    return {name: rule(name, rotation) for name, rotation in config.rotations.items()}


def rule(name: str, rotation: RotationConfig) -> Rule:
    """One rotation as the core reads it."""
    match, secret, rollout = rotation.match, rotation.secret, rotation.rollout
    return Rule(
        name=name,
        targets=rotation.targets,
        matching=Matching(
            type=match.type,
            name=match.name,
            exclude=match.exclude,
            endpoint=match.endpoint,
            at_least=match.expect.min,
            at_most=match.expect.max,
        ),
        secret=SecretPlace(
            source=secret.source,
            path=secret.path,
            engine=secret.engine,
            mount=secret.mount,
            version=secret.version,
            stage=secret.stage,
            lease=LeaseSharing(secret.dynamic) if secret.dynamic else None,
            revoke_after=secret.revoke_after,
        ),
        mapping={
            option: Fixed(place.value) if isinstance(place, Constant) else FieldOf(place)
            for option, place in rotation.credential.items()
        },
        rollout=RolloutPolicy(
            canary=rollout.canary,
            batch=rollout.batch,
            max_failures=rollout.max_failures,
            max_failures_total=rollout.max_failures_total,
            on_failure=OnFailure(rollout.on_failure),
        ),
        verification=VerificationPolicy(
            timeout=rotation.verify.timeout.total_seconds(),
            interval=rotation.verify.interval.total_seconds(),
            stable=rotation.verify.stable,
            settled_version=rotation.verify.settled_version,
        ),
        reapply_drift=rotation.on_drift == "reapply",
    )
