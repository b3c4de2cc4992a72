"""What `rotator plan` does: it looks at rotations, and says what a run would do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rotator.cli.filter import no_such_connection
from rotator.cli.opening import opened
from rotator.config.models import Config
from rotator.errors import NothingMatches
from rotator.model.plan import Change
from rotator.model.rule import Rule
from rotator.rotation.survey import Survey, survey


@dataclass(frozen=True, slots=True)
class PlannedRotation:
    """The plan of one rotation, and what would keep it from being carried out."""

    rotation: str
    changes: tuple[Change, ...]
    pending: bool
    """Whether a run would do anything."""
    problems: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Each once."""
        return tuple(dict.fromkeys(each.warning for each in self.changes if each.warning))


async def plan_now(
    config: Config, names: Sequence[str], *, only: str | None, force: bool
) -> list[PlannedRotation]:
    """The plans of these rotations; `only` limits them to connections with such names.

    Raises NoSuchConnection where `only` matches no connection of any of them.
    """
    async with opened(config) as context:
        surveys = await asyncio.gather(
            *(survey(context, name, only=only, force=force) for name in names)
        )
    unmatched = [] if only is None else _unmatched(surveys, only)
    if unmatched and len(unmatched) == len(surveys):
        raise no_such_connection(unmatched)
    return [
        _planned(seen, context.rules[seen.plan.rotation], filtered=only is not None)
        for seen in surveys
    ]


def _unmatched(surveys: Iterable[Survey], only: str) -> list[NothingMatches]:
    return [
        NothingMatches(seen.plan.rotation, only, (c.name for c in seen.listing.connections))
        for seen in surveys
        if not seen.plan.changes and not seen.listing.failures
    ]


def _planned(seen: Survey, rule: Rule, *, filtered: bool) -> PlannedRotation:
    plan = seen.plan
    problems = tuple(str(error) for error in seen.listing.failures.values())
    if plan.changes or not filtered:  # else it would not run, so it has nothing to refuse
        problems += plan.problems(rule)
    return PlannedRotation(plan.rotation, plan.changes, plan.pending, problems)
