"""What a person does about a failure: one line for each cause.

The log and the JSON of the command line show it under the key `todo`.
"""

from __future__ import annotations

from rotator.errors import Cause
from rotator.model.events import RunFinished
from rotator.model.run import RunResult

_REMEDIES = {
    Cause.MATCH: (
        "check match and match.expect of {rotation}: `rotator connections` shows which "
        "connections it matches; nothing was sent"
    ),
    Cause.SECRET: (
        "`rotator check --online` says what the source lacks; the connections keep what they "
        "have. Then: {again}"
    ),
    Cause.CREDENTIAL: (
        "`rotator plan{only}` shows each connection that doesn't fit: correct its secret, or "
        "credential or match of {rotation}. Then: {again}"
    ),
    Cause.REJECTED: (
        "the endpoint refuses what the secret holds: put a value that works into the source; a "
        "watch sees it by itself, else: {again}"
    ),
    Cause.NOT_READY: (
        "look at the connection's endpoint, and at verify.timeout of {rotation}: `rotator "
        "status` shows where it stands. Then: {again}"
    ),
    Cause.DRIFT: (
        "find out who else updates the connection. If nobody does, and its version moves as its "
        "phase settles, set verify.settled_version of "
        "{rotation}. Then: {again}"
    ),
    Cause.KEY: (
        "check auth of the target: its key is refused, or can't be had; `rotator check --online` "
        "says whether another works. Then: {again}"
    ),
    Cause.REFUSED: (
        "correct what the reason names, it would be refused again; `rotator check --online` says "
        "how the target answers. Then: {again}"
    ),
    Cause.TARGET: (
        "if it lasts, `rotator check --online` says how the target answers. To try at once: {again}"
    ),
    Cause.LEDGER: (
        "make the ledger writable: is its volume there, has it space left? Nothing is sent "
        "without it. Then: {again}"
    ),
    Cause.INTERNAL: (
        "this is a mistake in rotator: please report it, with the log's lines of this run. To try "
        "again: {again}"
    ),
    Cause.OTHER: "`rotator status` shows where each connection stands. To try again: {again}",
}


def remedy(cause: Cause, rotation: str | None = None) -> str:
    """What to do about a cause, in one line; `rotation` is the one that failed, if one did."""
    return _REMEDIES[cause].format(
        rotation=f"rotation {rotation}" if rotation else "the rotation",
        only=f" {rotation}" if rotation else "",
        again=f"`rotator rotate {rotation}`" if rotation else "`rotator rotate`",
    )


def remedy_after(event: RunFinished) -> str:
    """What to do after a run; empty if it left nothing to do."""
    run = event.run
    if run.result not in {RunResult.FAILED, RunResult.REFUSED}:
        return ""
    return remedy(event.cause or Cause.OTHER, run.rotation)
