"""One run of one rotation, as a story: lock, survey, plan, roll out, record."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from rotator.errors import (
    Cause,
    LedgerError,
    NothingMatches,
    PlanRefused,
    RotatorError,
    TargetError,
)
from rotator.leases.issuer import Issuer, retire_unused
from rotator.model.credential import Credential
from rotator.model.current_run import working_for
from rotator.model.events import Planned, RunFinished, RunStarted
from rotator.model.plan import Change
from rotator.model.rule import Rule
from rotator.model.run import Run, RunResult
from rotator.ports import RunContext
from rotator.rotation.credential import credential
from rotator.rotation.drive import MakeCredential, drive
from rotator.rotation.listing import listed
from rotator.rotation.rollout import RollOut, Summary
from rotator.rotation.survey import Survey, auth_data, survey


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a run."""

    rotation: str
    trigger: str
    only: str | None = None
    """A glob on names of connections: the others are left alone."""
    force: bool = False


def new_run(order: Order, now: datetime) -> Run:
    """Ids sort by time and stay readable: `20261120T030000Z-openai-3fa2c1`."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return Run(
        id=f"{stamp}-{order.rotation}-{secrets.token_hex(3)}",
        rotation=order.rotation,
        trigger=order.trigger,
        started_at=now,
    )


async def execute(context: RunContext, order: Order, run: Run, stop: asyncio.Event) -> Run:
    """The finished run.

    Raises RunInProgress where another holds the rotation, NothingMatches where `order.only` names
    no connection, and LedgerError. Whatever else goes wrong ends in the run's result and reason.
    When `stop` is set, requests under way end, nothing new starts, and the next run finishes the
    work. A crash and a cancellation are recorded too, and raised on.
    """
    if order.only is not None:
        await _refuse_empty_filter(context, order.rotation, order.only)
    cause: Cause | None = None
    request_id: str | None = None
    try:
        async with context.ledger.lock(order.rotation):
            await context.ledger.begin(run)
            context.observe(RunStarted(run))
            try:
                with working_for(run.id):
                    run, cause = await _rotate(context, order, run, stop)
            except RotatorError as error:
                refused = isinstance(error, PlanRefused)
                result = RunResult.REFUSED if refused else RunResult.FAILED
                run = replace(run, result=result, reason=str(error))
                cause, request_id = error.cause, error.request_id
            except asyncio.CancelledError:
                run = replace(run, result=RunResult.INTERRUPTED, reason="cancelled")
                raise
            except BaseException as error:
                reason = f"internal error: {type(error).__name__}"
                run = replace(run, result=RunResult.FAILED, reason=reason)
                cause = Cause.INTERNAL
                raise
            finally:
                run = replace(run, finished_at=context.clock.now())
                try:
                    await asyncio.shield(context.ledger.finish(run))
                except LedgerError as error:
                    if run.result is RunResult.SUCCEEDED:  # nobody will know, so it did not
                        run = replace(run, result=RunResult.FAILED, reason=str(error))
                        cause = error.cause
                    raise
                finally:
                    context.observe(RunFinished(run, cause, request_id))
    except LedgerError as error:
        if run.finished_at is None:  # it never began, and nobody was told
            failed = replace(run, result=RunResult.FAILED, reason=str(error))
            failed = replace(failed, finished_at=context.clock.now())
            context.observe(RunFinished(failed, error.cause))
        raise
    return run


async def _refuse_empty_filter(context: RunContext, rotation: str, only: str) -> None:
    """Raises NothingMatches, before anything of a run is on record."""
    rule = context.rules[rotation]
    records = {name: await context.ledger.records(name) for name in rule.targets}
    try:
        listing = await listed(context, rule, records)
    except TargetError:
        return  # the run itself meets it, and records it
    names = sorted(connection.name for connection in listing.connections)
    if not listing.failures and not any(fnmatchcase(name, only) for name in names):
        raise NothingMatches(rotation, only, names)


async def _rotate(
    context: RunContext, order: Order, run: Run, stop: asyncio.Event
) -> tuple[Run, Cause | None]:
    """The run with its result, and what it failed of."""
    rule = context.rules[order.rotation]
    seen = await survey(context, rule.name, only=order.only, force=order.force)
    context.observe(Planned(run.id, rule.name, seen.plan.changes))
    # Remembered before the plan can refuse itself: a version that made it refuse must not wake
    # the watch again and again.
    await context.ledger.remember(rule.name, seen.acted_on)
    places = {name: context.targets[name].concurrency for name in rule.targets}
    machine = RollOut.of(seen.plan.changes, rule, run.id, places)
    issuer = Issuer(context, rule, run.id)
    make = _maker(context, rule, issuer)
    try:
        seen.plan.refuse_if_unsafe(rule)
        await _mark_gone(context, seen)
        await _retire(context, rule, seen)  # what a run that died made and never put
        await drive(machine, context, make, stop)
    except PlanRefused as refusal:
        if refusal.cause is Cause.MATCH:
            raise  # perhaps of the wrong connections: there is nothing to say of each
        machine.refuse()
        await drive(machine, context, make, stop)
        counts = machine.summary().counts
        run = replace(run, result=RunResult.REFUSED, reason=str(refusal), counts=counts)
        return run, refusal.cause
    finally:
        issuer.close()
    await _retire(context, rule, seen)  # what the verified credentials replaced
    return _finished(run, machine.summary(), seen)


def _maker(context: RunContext, rule: Rule, issuer: Issuer) -> MakeCredential:
    async def make(change: Change) -> Credential:
        if change.secret is None:
            raise AssertionError("what has no credential yet has a secret that makes one")
        secret = await issuer.secret(change.secret)
        made = auth_data(context.targets[change.connection.target], rule, change.connection, secret)
        return credential(made, context.fingerprint, secret.version)

    return make


async def _mark_gone(context: RunContext, seen: Survey) -> None:
    for record in seen.gone.values():
        await context.ledger.write(replace(record, gone_at=context.clock.now()))


async def _retire(context: RunContext, rule: Rule, seen: Survey) -> None:
    await retire_unused(context, rule, gone=seen.gone.keys(), left=seen.left)


def _finished(run: Run, summary: Summary, seen: Survey) -> tuple[Run, Cause | None]:
    """Targets that could not be listed fail the run, however well the others went."""
    result, reason, cause = summary.result, summary.reason, summary.cause
    if seen.listing.failures and result is not RunResult.INTERRUPTED:
        unlisted = list(seen.listing.failures.values())
        result, cause = RunResult.FAILED, unlisted[0].cause
        reason = "; ".join([*(str(error) for error in unlisted), *([reason] if reason else [])])
    return replace(run, result=result, reason=reason, counts=summary.counts), cause
