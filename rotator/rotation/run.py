"""One run of one rotation, as a story: lock, survey, plan, roll out, record."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rotator.errors import Cause, LedgerError, PlanRefused, RotatorError
from rotator.leases.issuer import Issuer, retire_unused
from rotator.model.current_run import working_for
from rotator.model.events import Planned, RunFinished, RunStarted, Settled
from rotator.model.plan import Change, Verdict
from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.rotation.apply import Execution
from rotator.rotation.context import RunContext
from rotator.rotation.plan import adopted
from rotator.rotation.survey import Survey, survey


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
    """The finished run. Raises RunInProgress where another holds the rotation, and LedgerError.

    Whatever else goes wrong ends in the run's result and reason. When `stop` is set, requests
    under way end, nothing new starts, and the next run finishes the work. A crash and a
    cancellation are recorded too, and raised on.
    """
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
                finally:
                    context.observe(RunFinished(run, cause, request_id))
    except LedgerError as error:
        if run.finished_at is None:  # it never began, and nobody was told
            failed = replace(run, result=RunResult.FAILED, reason=str(error))
            failed = replace(failed, finished_at=context.clock.now())
            context.observe(RunFinished(failed, error.cause))
        raise
    return run


async def _rotate(
    context: RunContext, order: Order, run: Run, stop: asyncio.Event
) -> tuple[Run, Cause | None]:
    """The run with its result, and what it failed of."""
    rule = context.config.rotations[order.rotation]
    seen = await survey(context, order.rotation, only=order.only, force=order.force)
    context.observe(Planned(run.id, order.rotation, seen.plan.changes))
    # Remembered before the plan can refuse itself: a version that made it refuse must not wake
    # the watch again and again.
    await context.ledger.seen(order.rotation, seen.versions)
    # What a run that died made and never put.
    await retire_unused(context, order.rotation, seen)
    seen.plan.refuse_if_unsafe(rule)

    issuer = Issuer(context, order.rotation, run.id)
    execution = Execution(context, run.id, order.rotation, rule, stop, issuer)
    counts: Counter[Result] = Counter()
    for change, outcome in _without_updates(seen.plan.changes, run, context.clock.now()):
        counts[outcome.result] += 1
        record = adopted(change, run.rotation, run.id, outcome.at)
        if outcome.result is Result.FAILED:
            execution.failed(change.cause)
        if outcome.result is Result.FAILED or record is not None:
            await context.ledger.settle(record, outcome)
        context.observe(Settled(outcome, change.cause))
    before = execution.failures
    try:
        await execution.roll_out(seen.plan.changes)
    finally:
        issuer.close()
    await retire_unused(context, order.rotation, seen)

    untouched = _untouched(seen.plan.changes, execution)
    for change in untouched:
        why = "stopped before its turn" if stop.is_set() else "halted after failures elsewhere"
        context.observe(Settled(_outcome(change, run, Result.SKIPPED, why, context.clock.now())))
    failed = execution.failures - before
    counts[Result.FAILED] += failed
    counts[Result.ROTATED] += len(execution.settled) - failed
    counts[Result.SKIPPED] += len(untouched)
    result, reason = _result(seen, execution, untouched, stop)
    done = replace(
        run, result=result, reason=reason, counts={str(key): n for key, n in counts.items() if n}
    )
    if result is not RunResult.FAILED:
        return done, None
    unlisted = next(iter(seen.failures.values()), None)
    return done, unlisted.cause if unlisted else execution.cause


def _without_updates(
    changes: Iterable[Change], run: Run, now: datetime
) -> list[tuple[Change, Outcome]]:
    """The outcomes that stand as soon as the plan does."""
    outcomes = []
    for change in changes:
        if change.update or change.verify_only:
            continue
        result = {
            Verdict.INVALID: Result.FAILED,
            Verdict.DRIFTED: Result.SKIPPED,
        }.get(change.verdict, Result.UNCHANGED)
        outcomes.append((change, _outcome(change, run, result, change.reason, now)))
    return outcomes


def _outcome(change: Change, run: Run, result: Result, reason: str, now: datetime) -> Outcome:
    return Outcome(
        run_id=run.id,
        rotation=run.rotation,
        target=change.connection.target,
        connection=change.connection.name,
        result=result,
        reason=reason,
        at=now,
        phase=change.connection.phase,
        resource_version=change.connection.resource_version,
        fingerprint=change.credential.fingerprint if change.credential else None,
        secret_version=change.credential.secret_version if change.credential else None,
    )


def _untouched(changes: Iterable[Change], execution: Execution) -> list[Change]:
    return [
        change
        for change in changes
        if (change.update or change.verify_only)
        and (change.connection.target, change.connection.name) not in execution.settled
    ]


def _result(
    seen: Survey, execution: Execution, untouched: list[Change], stop: asyncio.Event
) -> tuple[RunResult, str]:
    if stop.is_set() and untouched:
        return RunResult.INTERRUPTED, f"told to stop; {len(untouched)} left for the next run"
    parts = [str(error) for error in seen.failures.values()]
    if execution.failures:
        parts.append(f"{execution.failures} failed")
    if untouched:
        parts.append(f"{len(untouched)} not touched, since more than max_failures failed")
    return (RunResult.FAILED if parts else RunResult.SUCCEEDED), "; ".join(parts)
