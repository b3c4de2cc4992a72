"""What `rotator plan` does: it looks at rotations, and says what a run would do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rotator.cli.opening import opened
from rotator.config.models import Config
from rotator.errors import PlanRefused
from rotator.model.plan import Change
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
    async with opened(config) as context:
        surveys = await asyncio.gather(
            *(survey(context, name, only=only, force=force) for name in names)
        )
    return [_planned(seen, config) for seen in surveys]


def _planned(seen: Survey, config: Config) -> PlannedRotation:
    plan = seen.plan
    return PlannedRotation(
        plan.rotation, plan.changes, plan.pending, tuple(_problems(seen, config))
    )


def _problems(seen: Survey, config: Config) -> Iterable[str]:
    yield from (str(error) for error in seen.failures.values())
    try:
        seen.plan.refuse_if_unsafe(config.rotations[seen.plan.rotation])
    except PlanRefused as refused:
        yield str(refused)
