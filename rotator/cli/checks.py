"""What `rotator check --online` does: it asks each source and target what works.

It changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rotator.cli.opening import opened
from rotator.config.models import Config
from rotator.config.references import secret_references
from rotator.coordination.lead_once import examine
from rotator.errors import RotatorError, SourceError
from rotator.model.connection import Connection
from rotator.model.secret import SecretRef
from rotator.model.source import Finding
from rotator.notify.examine import examine as examine_webhook
from rotator.ports import RunContext
from rotator.rotation import match
from rotator.rotation.listing import secret_refs
from rotator.rotation.survey import Survey, survey


class CheckResult(StrEnum):
    WORKS = "works"
    WARNING = "warning"
    """Something is missing that rotator can do without."""
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Check:
    place: str
    """`source vault`, `target prod`, `rotation openai`."""
    what: str
    verdict: CheckResult
    problem: str = ""

    @property
    def fails(self) -> bool:
        return self.verdict is CheckResult.FAILS


Connections = Mapping[str, tuple[Connection, ...] | RotatorError]


async def check_configured(config: Config) -> list[Check]:
    async with opened(config) as context:
        return await check_online(config, context)


async def check_online(config: Config, context: RunContext) -> list[Check]:
    """Check sources side by side, so that one that hangs delays no other."""
    listed = await _listed(context)
    checks = [
        _check(f"target {name}", "list connections", str(answer))
        if isinstance(answer, RotatorError)
        else _check(f"target {name}", f"list connections ({len(answer)})")
        for name, answer in listed.items()
    ]
    refs = {name: _refs(config, context, name, listed) for name in context.sources}
    watched = {name: _watched(config, refs[name]) for name in context.sources}
    found = await asyncio.gather(
        *(_examined(context, name, refs[name], watched[name]) for name in context.sources)
    )
    for name, findings in zip(context.sources, found, strict=True):
        checks += [_of_finding(f"source {name}", finding) for finding in findings]
    failing = {check.place for check in checks if check.fails}
    for name in context.rules:
        checks.append(await _rotation(context, name, failing))
    for finding in await examine(config.coordination):
        checks.append(_of_finding("coordination", finding))
    for index, webhook in enumerate(config.notify):
        key = f"notify[{index}]"
        checks += [_of_finding(key, finding) for finding in examine_webhook(webhook, key)]
    return checks


def wants_policy(checks: list[Check]) -> bool:
    """Whether a permission is missing that `rotator policy` would print."""
    return any("lacks" in check.problem for check in checks)


def _check(place: str, what: str, problem: str = "", *, required: bool = True) -> Check:
    verdict = CheckResult.WORKS
    if problem:
        verdict = CheckResult.FAILS if required else CheckResult.WARNING
    return Check(place, what, verdict, problem)


def _of_finding(place: str, finding: Finding) -> Check:
    return _check(place, finding.what, finding.problem, required=finding.required)


async def _listed(context: RunContext) -> Connections:
    async def one(name: str) -> tuple[Connection, ...] | RotatorError:
        try:
            return await context.targets[name].connections()
        except RotatorError as error:
            return error

    answers = await asyncio.gather(*(one(name) for name in context.targets))
    return dict(zip(context.targets, answers, strict=True))


async def _examined(
    context: RunContext, name: str, refs: list[SecretRef], watched: list[SecretRef]
) -> tuple[Finding, ...]:
    try:
        return await context.sources[name].examine(refs, watched)
    except SourceError as error:
        return (Finding("log in", error.message),)


def _refs(config: Config, context: RunContext, source: str, listed: Connections) -> list[SecretRef]:
    """The secrets of all connections that match, and those that settings refer to; each once."""
    found: dict[SecretRef, None] = {}
    for rule in context.rules.values():
        if rule.secret.source != source:
            continue
        for target in rule.targets:
            connections = listed[target]
            if isinstance(connections, RotatorError):
                continue
            matched = [each for each in connections if match.matches(rule.matching, each)]
            # What can't be told of a connection, the rotation's own check says.
            refs = secret_refs(context, rule, matched).values()
            found |= dict.fromkeys(ref for ref in refs if isinstance(ref, SecretRef))
    for place in secret_references(config):
        secret = place.secret
        if secret.source == source:
            ref = SecretRef(source, secret.path, secret.engine, secret.mount, secret.version)
            found[ref] = None
    return list(found)


def _watched(config: Config, refs: list[SecretRef]) -> list[SecretRef]:
    rules = [rule.secret for rule in config.rotations.values() if rule.watch]
    places = {(rule.source, rule.engine, rule.mount) for rule in rules}
    return [r for r in refs if not r.dynamic and (r.source, r.engine, r.mount) in places]


async def _rotation(context: RunContext, name: str, failing: set[str]) -> Check:
    place = f"rotation {name}"
    rule = context.rules[name]
    targets = {f"target {target}" for target in rule.targets}
    if targets <= failing:
        return _check(place, "plan", _see(targets))  # the targets were asked already
    try:
        seen = await survey(context, name)
    except RotatorError as error:
        told = targets & failing
        return _check(place, "plan", _see(told) if told else str(error))
    what = f"plan ({seen.plan.matched} connections)"
    problems = list(dict.fromkeys(_problems(context, seen)))
    source = f"source {rule.secret.source}"
    of_source = [problem for problem in problems if problem.startswith(source)]
    if source in failing and (of_source or rule.secret.lease):
        # The source's own check has said it. And the plan asks nothing of a source that makes
        # credentials.
        problems = [problem for problem in problems if problem not in of_source]
        problems.append(_see({source}))
    return _check(place, what, "; ".join(dict.fromkeys(problems)))


def _problems(context: RunContext, seen: Survey) -> Iterator[str]:
    yield from (str(error) for error in seen.listing.failures.values())
    if seen.plan.invalid:
        yield from (change.reason for change in seen.plan.invalid)
    else:
        yield from seen.plan.problems(context.rules[seen.plan.rotation])


def _see(places: set[str]) -> str:
    return f"see {' and '.join(sorted(places))} above"
