"""Deadlines and bounds of blocking calls, and what becomes of their failures."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from time import monotonic

import pytest

from rotator.errors import SecretMissing, SourceError, SourceUnavailable, SourceUncertain
from rotator.model.events import Event, SourceRead
from rotator.model.secret import Probe, Secret, SecretRef
from rotator.sources.reader import Reader
from rotator.sources.threads import AT_ONCE, ThreadedSource, on_this_loop

CANARY = "canary-value-of-a-secret"
REF = SecretRef("slow", "flink/openai")


class Blocking(Reader):
    """A vendor whose calls last until they are released, or do what they are told."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.under_way = 0
        self.most = 0
        self._lock = threading.Lock()

    def read(self, ref: SecretRef) -> Secret:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self.released.wait()
        with self._lock:
            self.under_way -= 1
        return Secret(ref, "1", {"api_key": CANARY})

    def probe(self, ref: SecretRef) -> Probe:
        raise KeyError(CANARY)

    def close(self) -> None:
        self.released.set()


@pytest.fixture
def blocking() -> Iterator[Blocking]:
    reader = Blocking()
    yield reader
    reader.close()


def results(events: list[Event]) -> list[str]:
    return [event.result for event in events if isinstance(event, SourceRead)]


async def test_a_call_that_hangs_ends_at_the_deadline_and_delays_no_other(
    blocking: Blocking,
) -> None:
    events: list[Event] = []
    hanging = ThreadedSource("slow", blocking, 0.05, events.append)
    quick = Blocking()
    quick.close()
    other = ThreadedSource("quick", quick, 5.0, events.append)
    started = monotonic()
    with pytest.raises(SourceUnavailable, match="source slow, flink/openai: no answer within"):
        await hanging.read(REF)
    assert monotonic() - started < 5
    assert (await other.read(REF)).version == "1"
    assert results(events) == ["unavailable", "ok"]


async def test_threads_that_hang_are_bounded_and_the_source_recovers(blocking: Blocking) -> None:
    source = ThreadedSource("slow", blocking, 0.05, lambda _: None)
    outcomes = await asyncio.gather(
        *(source.read(REF) for _ in range(10 * AT_ONCE)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {SourceUncertain, SourceUnavailable}
    assert blocking.most < 2 * AT_ONCE, "a thread was added for every call"
    with pytest.raises(SourceUnavailable, match="earlier calls still hang"):
        await source.read(REF)

    blocking.released.set()
    async with asyncio.timeout(10):
        while True:
            try:
                secret = await source.read(REF)
            except SourceUnavailable:
                await asyncio.sleep(0)
                continue
            break
    assert secret.fields == {"api_key": CANARY}


async def test_no_more_than_so_many_at_once_and_all_get_their_turn(blocking: Blocking) -> None:
    source = ThreadedSource("slow", blocking, 30.0, lambda _: None)
    reads = [asyncio.create_task(source.read(REF)) for _ in range(5 * AT_ONCE)]
    async with asyncio.timeout(10):
        while blocking.under_way < AT_ONCE:  # noqa: ASYNC110 - of threads, not of this loop
            await asyncio.sleep(0)
    blocking.released.set()
    assert len(await asyncio.gather(*reads)) == 5 * AT_ONCE
    assert blocking.most == AT_ONCE


async def test_who_stops_waiting_is_let_go_at_once(blocking: Blocking) -> None:
    events: list[Event] = []
    source = ThreadedSource("slow", blocking, 30.0, events.append)
    read = asyncio.create_task(source.read(REF))
    async with asyncio.timeout(10):
        while not blocking.under_way:  # noqa: ASYNC110 - of threads, not of this loop
            await asyncio.sleep(0)
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
    assert results(events) == ["unavailable"]


async def test_a_defect_is_a_line_with_a_place_and_no_value(blocking: Blocking) -> None:
    events: list[Event] = []
    source = ThreadedSource("slow", blocking, 5.0, events.append)
    with pytest.raises(SourceError, match=r"unexpected KeyError at test_threads\.py:\d+") as caught:
        await source.probe(REF)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert results(events) == ["error"]


async def test_what_threads_tell_is_heard_on_the_loop() -> None:
    heard: list[tuple[Event, threading.Thread]] = []
    event = SourceRead("vault", "login", "ok", 0.1)
    tell = on_this_loop(lambda seen: heard.append((seen, threading.current_thread())))
    await asyncio.to_thread(tell, event)
    await asyncio.sleep(0)
    assert heard == [(event, threading.current_thread())]


async def test_errors_of_a_source_pass_as_they_are(blocking: Blocking) -> None:
    class Empty(Blocking):
        def read(self, ref: SecretRef) -> Secret:
            raise SecretMissing("slow", ref.path, "gone")

    events: list[Event] = []
    with pytest.raises(SecretMissing, match="source slow, flink/openai: gone"):
        await ThreadedSource("slow", Empty(), 5.0, events.append).read(REF)
    assert results(events) == ["missing"]


async def test_closing_ends_within_its_bound_whatever_hangs(blocking: Blocking) -> None:
    class Stuck(Blocking):
        def close(self) -> None:
            self.released.wait()

    stuck = Stuck()
    source = ThreadedSource("slow", stuck, 0.05, lambda _: None, closing=0.05)
    await asyncio.gather(*(source.read(REF) for _ in range(AT_ONCE)), return_exceptions=True)
    async with asyncio.timeout(10):
        await source.aclose()
    stuck.released.set()


HANGS = """
import asyncio, threading
from rotator.errors import SourceUnavailable
from rotator.model.secret import SecretRef
from rotator.sources.reader import Reader
from rotator.sources.threads import ThreadedSource

class Hangs:
    def read(self, ref): threading.Event().wait()
    probe = read
    def close(self): pass

async def main():
    try:
        await ThreadedSource("slow", Hangs(), 0.05, lambda _: None).read(SecretRef("slow", "x"))
    except SourceUnavailable as error:
        print(error)

asyncio.run(main())
"""


async def test_a_thread_that_hangs_keeps_no_process_from_its_end() -> None:
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "no answer within 0.05 s" in done.stdout


@pytest.mark.parametrize(
    ("kind", "options", "package", "extra"),
    [
        ("vault", '"url": "http://127.0.0.1:1", "auth": {"method": "token", "token": {"env": "X"}}',
         "hvac", "vault"),
        ("aws-secrets-manager", '"region": "us-east-1"', "botocore", "aws"),
    ],
)  # fmt: skip
async def test_a_vendor_that_is_not_installed_is_named_with_its_extra(
    kind: str, options: str, package: str, extra: str
) -> None:
    script = f"""
import asyncio, sys
sys.modules["{package}"] = None  # as if it were not installed
from pydantic import TypeAdapter
from rotator.config.models import SourceConfig
from rotator.errors import SourceError
from rotator.sources import open_source

async def main():
    config = TypeAdapter(SourceConfig).validate_python({{"kind": "{kind}", {options}}})
    try:
        open_source("mine", config, print, lambda content: "")
    except SourceError as error:
        print(error)

asyncio.run(main())
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True, timeout=30
    )
    wanted = f"source mine: {package} is not installed: pip install 'rotator[{extra}]'"
    assert (done.stdout.strip(), done.stderr) == (wanted, "")
