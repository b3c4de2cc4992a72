"""What a run would do: a value that can be shown, compared, and that can refuse itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from rotator.errors import Cause, PlanRefused
from rotator.model.plan import Change, Verdict
from rotator.model.rule import Matching, OnFailure, RolloutPolicy, Rule


@dataclass(frozen=True, slots=True)
class Plan:
    rotation: str
    matched: int
    """Connections that the rule matches, whether or not this run is limited to some of them."""
    changes: tuple[Change, ...]
    missing_targets: tuple[str, ...] = ()
    """Targets whose connections couldn't be listed: what they hold is not part of the plan."""

    @property
    def pending(self) -> bool:
        return any(change.touched for change in self.changes)

    @property
    def invalid(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.verdict is Verdict.INVALID)

    def refuse_if_unsafe(self, rule: Rule) -> None:
        """Raises PlanRefused, in the words of the person who set the limit.

        A target whose own connections are invalid stops itself alone; the plan is refused where
        that leaves nothing to do.
        """
        for problem in self._out_of_bounds(rule.matching):
            raise problem
        stopped = self._stopped_targets(rule.rollout)
        others = {change.connection.target for change in self.changes if change.touched} - stopped
        if stopped and not others:
            raise self._unfit()

    def problems(self, rule: Rule) -> tuple[str, ...]:
        """All that would keep a run of this plan from succeeding, in words for people."""
        found = [str(problem) for problem in self._out_of_bounds(rule.matching)]
        if self._stopped_targets(rule.rollout):
            found.append(str(self._unfit()))
        found += [
            f"rotation {self.rotation}, {_place(change)}: {change.reason}"
            for change in self.changes
            if change.verdict is Verdict.BROKEN
        ]
        return tuple(found)

    def _out_of_bounds(self, matching: Matching) -> Iterator[PlanRefused]:
        matched = f"{self.matched} connection{'s' * (self.matched != 1)}"
        if self.matched < matching.at_least and not self.missing_targets:
            yield PlanRefused(
                f"rotation {self.rotation} matches {matched}, fewer than "
                f"match.expect.min ({matching.at_least}); check match, or lower the limit",
                Cause.MATCH,
            )
        if matching.at_most is not None and self.matched > matching.at_most:
            yield PlanRefused(
                f"rotation {self.rotation} matches {matched}, more than "
                f"match.expect.max ({matching.at_most}); narrow match, or raise the limit",
                Cause.MATCH,
            )

    def _stopped_targets(self, policy: RolloutPolicy) -> set[str]:
        """Targets in which more connections are invalid than may fail."""
        if policy.on_failure is OnFailure.CONTINUE:
            return set()
        targets = Counter(change.connection.target for change in self.invalid)
        most = policy.max_failures_total
        if most is not None and targets.total() > most:
            return {change.connection.target for change in self.changes}
        return {target for target, count in targets.items() if count > policy.max_failures}

    def _unfit(self) -> PlanRefused:
        first, more = self.invalid[0], len(self.invalid) - 1
        others = f" (and {more} more; `rotator plan` shows all)" * (more > 0)
        return PlanRefused(
            f"rotation {self.rotation}, {_place(first)}: {first.reason}{others}; nothing was sent",
            first.cause or Cause.CREDENTIAL,
        )


def _place(change: Change) -> str:
    return f"connection {change.connection.name} of target {change.connection.target}"
