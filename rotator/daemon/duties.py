"""What the daemon does: at ticks, at a reload, and when it begins to lead."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path

from rotator.config.load import load
from rotator.config.models import Config, targets_of
from rotator.coordination.term import Term
from rotator.daemon.due import trigger_at_once
from rotator.daemon.health import Contacts, news
from rotator.daemon.runner import Runner
from rotator.daemon.schedule import Schedule
from rotator.daemon.snapshots import Snapshots
from rotator.daemon.watch import Watch, may_concern, next_change
from rotator.errors import ConfigurationError, NotLeading, Problem, RotatorError, RunInProgress
from rotator.leases.keeper import Keeper
from rotator.ledger import SqlLedger
from rotator.model.events import SecretHinted
from rotator.model.source import SourceState
from rotator.notify.notifier import Notifier
from rotator.observe import log as logs
from rotator.observe.listings import Listings
from rotator.observe.metrics import Metrics
from rotator.ports import Clock
from rotator.remedy import remedy
from rotator.rotation.context import RunContext
from rotator.rotation.run import Order
from rotator.rotation.survey import examine_leased, look, probe_secrets

log = logging.getLogger(__name__)

_SHORTEST_PAUSE = 30.0
_LONGEST_PAUSE = 600.0
"""Seconds between runs that leases call for, where the one before did not help."""


@dataclass(slots=True)
class Duties:
    path: Path
    ledger: SqlLedger
    snapshots: Snapshots
    runner: Runner
    metrics: Metrics
    listings: Listings
    notifier: Notifier
    contacts: Contacts
    clock: Clock
    stop: asyncio.Event
    schedule: Schedule = field(init=False)
    keeper: Keeper = field(default_factory=Keeper)
    _watches: dict[str, Watch] = field(default_factory=dict)
    _keep_failed: str = ""
    """What was said last; it would be the same every few seconds."""
    _written: dict[str, SourceState] = field(default_factory=dict)
    _lease_runs: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Rotation → not again before (monotonic), and the pause after that, in seconds."""

    def __post_init__(self) -> None:
        self.schedule = Schedule(
            self.on_cron, self.on_watch, self.on_look, self.on_keep, self.on_heartbeat
        )

    @property
    def config(self) -> Config:
        return self.snapshots.context.config

    @property
    def leads(self) -> bool:
        return self.runner.may_write() and not self.stop.is_set()

    # Ticks

    async def on_cron(self, rotation: str) -> None:
        self._start(rotation, "schedule")

    async def on_watch(self, rotation: str) -> None:
        """Look whether a secret has another version than the one that was last acted on."""
        if self.runner.under_way(rotation) or not self.leads:
            return
        watch = self._watches.setdefault(rotation, Watch())
        try:
            async with self.snapshots.borrow() as context:
                probes = await probe_secrets(context, rotation)
                seen = await self.ledger.seen_versions(rotation)
                last = await self.ledger.last_run(rotation)
        except RotatorError as error:
            watch.failed(error)
            what = {"todo": remedy(error.cause, rotation)}
            log.warning("watch.failed", extra={"rotation": rotation} | error.fields() | what)
            return
        for ref, warning in watch.new_warnings(probes):
            place = {"rotation": rotation, "source": ref.source, "secret": str(ref)}
            log.warning("secret.warning", extra=place | {"reason": warning})
        if watch.calls_for_a_run(probes, seen, last):
            self._start(rotation, "watch")
        elif (seconds := next_change(probes)) is not None:
            self.schedule.look_again(rotation, seconds)

    async def on_look(self, rotation: str) -> None:
        """See in which phase the connections are: a key may be revoked between two runs."""
        if self.runner.under_way(rotation) or not self.leads:
            return
        try:
            async with self.snapshots.borrow() as context:
                await look(context, rotation)
        except RotatorError as error:
            log.warning("look.failed", extra={"rotation": rotation} | error.fields())

    def on_hint(self, hint: SecretHinted) -> None:
        """Look soon rather than at the next tick; what is true, the look itself finds out."""
        for name, rule in self.config.rotations.items():
            if rule.secret.source == hint.source and may_concern(rule.secret, hint.path):
                self.schedule.look_again(name, 0)

    async def on_keep(self) -> None:
        """Tend tokens and leases, and replace credentials whose leases near their end."""
        try:
            due: frozenset[str] = frozenset()
            if self.leads:
                async with self.snapshots.borrow() as context:
                    due = await self.keeper.tend(context)
            await self._write_down_sources()
        except RotatorError as error:
            if str(error) != self._keep_failed:
                what = {"todo": remedy(error.cause)}
                log.error("keep.failed", extra=error.fields() | what)  # noqa: TRY400 - one line
            self._keep_failed = str(error)
            return
        self._keep_failed = ""
        now = self.clock.monotonic()
        self.contacts.kept(now)
        self._lease_runs = {name: at for name, at in self._lease_runs.items() if name in due}
        for rotation in due:
            not_before, pause = self._lease_runs.get(rotation, (now, _SHORTEST_PAUSE))
            if now >= not_before and self.runner.under_way(rotation) is None:
                # The next one only if this does not help: each makes credentials anew.
                self._lease_runs[rotation] = (now + pause, min(_LONGEST_PAUSE, pause * 2))
                self._start(rotation, "lease")

    async def _write_down_sources(self) -> None:
        """For `rotator status`: at once where one begins or ends to fail, else now and then."""
        for state in self.contacts.states():
            if not news(self._written.get(state.source), state):
                continue
            await self.ledger.keep_source(state)
            self._written[state.source] = state

    def on_heartbeat(self) -> None:
        self.contacts.beat(self.clock.monotonic())
        self.metrics.tick()
        for rotation in self.config.rotations:
            self.metrics.next_run(rotation, self.schedule.next_run(rotation))

    def _start(self, rotation: str, trigger: str) -> None:
        if not self.leads:
            return
        try:
            self.runner.start(Order(rotation, trigger), self.snapshots.context)
        except (RunInProgress, NotLeading) as busy:
            log.info("run.skipped", extra={"rotation": rotation} | busy.fields())

    # Life

    async def lead(self, term: Term, *, taken_over: bool) -> None:
        """From now on ticks act; what is due already is run at once.

        Raises LedgerError where this process never gets that far.
        """
        # Of a term before this one, which ended while their last requests were under way.
        await self.runner.idle()
        self.runner.term = term
        self.metrics.leader(leads=self.leads)
        for name, rule in self.config.rotations.items():
            last = await self.ledger.last_run(name)
            trigger = trigger_at_once(rule, last, self.clock.now(), taken_over=taken_over)
            if trigger is not None:
                self._start(name, trigger)
            elif taken_over:
                # What was seen before another led is old.
                self.schedule.look_now(name)

    def follow(self) -> None:
        """Another process leads, or nobody does yet: what was seen here grows old."""
        self.metrics.leader(leads=False)
        self.listings.clear()

    async def first_contact(self) -> None:
        """Reach every target and source once, so that readyz knows before the first tick.

        Tried again until it works, at growing intervals.
        """
        pause = 1.0
        while not self.stop.is_set():
            async with self.snapshots.borrow() as context:
                names = list(context.config.rotations)
                looks = (_reach(context, name) for name in names)
                answers = await asyncio.gather(*looks, return_exceptions=True)
            for name, trouble in zip(names, answers, strict=True):
                if isinstance(trouble, RotatorError):
                    place = {"rotation": name, "todo": remedy(trouble.cause, name)}
                    log.warning("contact.failed", extra=place | trouble.fields())
                elif trouble is not None:
                    raise trouble
            if not any(answers):
                log.info("daemon.ready")
                return
            await self.clock.sleep(pause)
            pause = min(60.0, pause * 2)

    async def reload(self) -> None:
        """Read the configuration again; whatever is wrong with it, the old one stays in force."""
        try:
            config = load(self.path)
            self._refuse_what_needs_a_restart(config)
            await self.snapshots.replace(config)
        except RotatorError as error:
            self.metrics.reloaded(successful=False)
            what = {
                "path": str(self.path),
                "reason": str(error).replace("\n", "; "),
                "todo": "correct it until `rotator check` finds nothing, and send SIGHUP again; "
                "until then the configuration of before stays in force",
            }
            log.error("config.refused", extra=what)  # noqa: TRY400 - one line
            return
        logs.configure(config.log)
        self.schedule.replace(config.rotations)
        self.metrics.configured(config)
        self.listings.configured(targets_of(config))
        self.notifier.configure(config)
        self.metrics.reloaded(successful=True)
        self.on_heartbeat()
        log.info("config.reloaded", extra={"path": str(self.path)})

    def _refuse_what_needs_a_restart(self, config: Config) -> None:
        for key in ("ledger", "http", "coordination"):
            if getattr(config, key) != getattr(self.config, key):
                raise ConfigurationError(
                    (Problem(str(self.path), 0, key, "a change of this section needs a restart"),)
                )


async def _reach(context: RunContext, rotation: str) -> None:
    """Every target and source of a rotation, without making a credential."""
    await probe_secrets(context, rotation)
    for finding in await examine_leased(context, rotation):
        if finding.problem:
            source = context.config.rotations[rotation].secret.source
            place = {"rotation": rotation, "source": source, "what": finding.what}
            log.warning("permission.missing", extra=place | {"reason": finding.problem})
