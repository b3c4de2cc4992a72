"""A courier and a real receiver that has bad days. Pauses pass at once; they are written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from rotator.config.models import Reference, WebhookConfig
from rotator.config.references import FromEnv, FromFile, resolve_local
from rotator.errors import ValueUnavailable
from rotator.model.events import Event, Notified, Occasion
from rotator.notify.courier import BACKOFF, LONGEST_TRIED, MOST_ATTEMPTS, MOST_WAITING, Courier
from rotator.notify.message import Notification
from rotator.notify.receiver import Receiver
from tests.support.certificates import Certificates, certificates
from tests.support.faulty import HTML, Reply, Trouble
from tests.support.leasing import MovedClock
from tests.support.waiting import until
from tests.support.webhooks import PATH, Webhook, verified, webhook_running

__all__ = ["certificates"]

CANARY = "canary-5f2b9c"
LETTER = Notification("run-1-failed", Occasion.FAILED, "openai", "run-1", b'{"event":"failed"}')


class QuickClock(MovedClock):
    """Whoever waits is there at once."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []
        self.patient = asyncio.Event()
        """Cleared, whoever waits does so until told otherwise."""
        self.patient.set()

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        await self.patient.wait()
        self.ahead += seconds


async def resolve(reference: Reference, key: str) -> str:
    assert isinstance(reference, (FromEnv, FromFile))
    return resolve_local(reference, key)


@dataclass(slots=True)
class Posted:
    courier: Courier
    clock: QuickClock
    events: list[Notified]
    lost: list[Notification] = field(default_factory=list)

    def put(self, letter: Notification = LETTER) -> None:
        self.courier.put(letter)

    async def done(self, count: int = 1) -> Notified:
        """The last word on so many of them."""
        await until(lambda: len(self.last_words) == count)
        return self.last_words[-1]

    @property
    def last_words(self) -> list[Notified]:
        return [event for event in self.events if event.result != "delayed"]


@asynccontextmanager
async def courier_to(url: Any, *, patience: float = 10.0, **config: Any) -> AsyncIterator[Posted]:
    clock, events, lost = QuickClock(), list[Notified](), list[Notification]()

    def observe(event: Event) -> None:
        assert isinstance(event, Notified)
        events.append(event)

    wanted = WebhookConfig.model_validate({"url": url, **config})
    receiver = Receiver(wanted, "notify[0]", resolve, clock, patience)
    courier = Courier(receiver, clock, observe, lost.append)
    courier.start()
    try:
        yield Posted(courier, clock, events, lost)
    finally:
        clock.patient.set()
        await courier.aclose(grace=5.0)


# What arrives


async def test_it_arrives_with_its_id_and_unsigned(webhook: Webhook) -> None:
    async with courier_to(webhook.url) as posted:
        posted.put()
        sent = await posted.done()
    assert sent == Notified(
        "run-1-failed", Occasion.FAILED, "openai", "127.0.0.1", "sent", attempts=1
    )
    (request,) = webhook.requests
    assert (request.method, request.path, request.body) == ("POST", PATH, LETTER.body)
    assert request.headers["x-rotator-id"] == "run-1-failed"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("rotator/")
    assert not {"x-rotator-signature", "authorization", "cookie"} & request.headers.keys()


async def test_each_attempt_has_the_same_id_and_body_and_a_signature_of_its_own(
    webhook: Webhook, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{CANARY}\n")
    webhook.answer(503, 503)
    async with courier_to(webhook.url, secret={"file": str(secret)}) as posted:
        posted.put()
        assert (await posted.done()).attempts == 3
    times = [verified(request, CANARY) for request in webhook.requests]
    assert times == sorted(set(times)), "signed once and sent three times"
    assert {request.headers["x-rotator-id"] for request in webhook.requests} == {LETTER.id}
    assert {request.body for request in webhook.requests} == {LETTER.body}


async def test_in_order_though_the_first_is_delayed(webhook: Webhook) -> None:
    webhook.answer(500)
    async with courier_to(webhook.url) as posted:
        posted.put()
        posted.put(replace(LETTER, id="run-2-recovered", occasion=Occasion.RECOVERED))
        await posted.done(2)
    ids = [request.headers["x-rotator-id"] for request in webhook.requests]
    assert ids == ["run-1-failed", "run-1-failed", "run-2-recovered"]


# What is tried again


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Reply(500), "HTTP 500"),
        (Reply(503, HTML.body, HTML.headers), "HTTP 503"),
        (Reply(429), "HTTP 429"),
        (Reply(408), "HTTP 408"),
        (Trouble.RESET, "the connection broke off (RemoteProtocolError)"),
        (Trouble.HANG, "no answer within 0.5 s"),
    ],
)
async def test_what_may_pass_is_tried_again(
    webhook: Webhook, trouble: Reply | Trouble, reason: str
) -> None:
    webhook.answer(trouble, trouble)
    async with courier_to(webhook.url, patience=0.5) as posted:
        posted.put()
        sent = await posted.done()
    assert (sent.result, sent.attempts) == ("sent", 3)
    assert posted.clock.waited == [1.0, 2.0]
    assert [event.result for event in posted.events] == ["delayed", "sent"], "said once"
    assert posted.events[0].reason == reason
    assert posted.lost == []


async def test_where_nobody_listens_it_is_given_up_in_the_end() -> None:
    with webhook_running() as gone:
        url = gone.url
    async with courier_to(url) as posted:
        posted.put()
        failed = await posted.done()
    assert (failed.result, failed.attempts) == ("failed", MOST_ATTEMPTS)
    assert failed.reason.startswith("Connect call failed")
    assert posted.lost == [LETTER]
    assert sum(posted.clock.waited) <= LONGEST_TRIED


async def test_a_receiver_that_asks_for_time_gets_it(webhook: Webhook) -> None:
    webhook.answer(Reply(429, headers={"Retry-After": "120"}))
    async with courier_to(webhook.url) as posted:
        posted.put()
        await posted.done()
        assert posted.clock.waited == [120.0]


async def test_a_date_will_do_too(webhook: Webhook) -> None:
    async with courier_to(webhook.url) as posted:
        at = posted.clock.now() + timedelta(seconds=90)
        webhook.answer(Reply(503, headers={"Retry-After": format_datetime(at, usegmt=True)}))
        posted.put()
        await posted.done()
        assert 60 < posted.clock.waited[0] <= 90


@pytest.mark.parametrize("nonsense", ["soon", "-5", "Fri, 99 Nov 2026", ""])
async def test_nonsense_is_taken_for_nothing(webhook: Webhook, nonsense: str) -> None:
    webhook.answer(Reply(429, headers={"Retry-After": nonsense}))
    async with courier_to(webhook.url) as posted:
        posted.put()
        await posted.done()
        assert posted.clock.waited == [1.0]


async def test_a_receiver_that_asks_for_less_than_the_backoff_is_not_hurried(
    webhook: Webhook,
) -> None:
    webhook.answer(500, 500, Reply(429, headers={"Retry-After": "3"}))
    async with courier_to(webhook.url) as posted:
        posted.put()
        await posted.done()
        assert posted.clock.waited == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("after", ["86400", "1e9"])
async def test_who_asks_for_too_much_time_is_given_up(webhook: Webhook, after: str) -> None:
    webhook.always(Reply(429, headers={"Retry-After": after}))
    async with courier_to(webhook.url) as posted:
        posted.put()
        failed = await posted.done()
    assert (failed.result, failed.attempts, posted.clock.waited) == ("failed", 1, [])


def test_pauses_grow_and_stay_bounded() -> None:
    pauses = [BACKOFF.pause(attempt) for attempt in range(1, MOST_ATTEMPTS)]
    assert pauses[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert max(pauses) == 300.0
    assert sum(pauses) < LONGEST_TRIED


# What is not


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(400), "HTTP 400"),
        (Reply(403, f"no {CANARY}".encode()), "HTTP 403; check url and secret"),
        (Reply(404), "HTTP 404; check url and secret"),
        (Reply(410), "HTTP 410; check url and secret"),
    ],
)
async def test_a_clear_refusal_is_logged_once(webhook: Webhook, reply: Reply, reason: str) -> None:
    webhook.always(reply)
    async with courier_to(webhook.url) as posted:
        posted.put()
        failed = await posted.done()
    assert (failed.result, failed.reason, failed.attempts) == ("failed", reason, 1)
    assert len(webhook.requests) == len(posted.events) == 1
    assert posted.lost == [LETTER]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirect_is_followed(webhook: Webhook, status: int) -> None:
    with webhook_running() as elsewhere:
        webhook.answer(Reply(status, headers={"Location": elsewhere.url}))
        async with courier_to(webhook.url) as posted:
            posted.put()
            failed = await posted.done()
    assert elsewhere.requests == []
    assert failed.reason == (
        f"HTTP {status}: it redirects, and redirects are not followed; "
        "write where it leads in notify[0].url"
    )


async def test_proxies_of_the_environment_are_not_picked_up(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook_running() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.server.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with courier_to(webhook.url) as posted:
            posted.put()
            await posted.done()
    assert (len(webhook.requests), proxy.requests) == (1, [])


async def test_a_host_that_can_be_none_is_a_clear_no() -> None:
    async with courier_to(f"https://{'a' * 70}.example/{CANARY}") as posted:
        posted.put()
        failed = await posted.done()
    assert failed.result == "failed"
    assert CANARY not in str(posted.events)


# TLS


async def test_a_receiver_behind_a_ca_of_ones_own(certificates: Certificates) -> None:
    with webhook_running(certificates.server) as webhook:
        async with courier_to(webhook.url, ca_file=str(certificates.ca)) as posted:
            posted.put()
            assert (await posted.done()).result == "sent"


@pytest.mark.parametrize("trusted", ["system", "another"])
async def test_a_receiver_whose_certificate_is_not_trusted_gets_nothing(
    certificates: Certificates, trusted: str
) -> None:
    config: dict[str, Any] = {}
    if trusted == "another":
        config["ca_file"] = str(certificates.other_ca)
    with webhook_running(certificates.server) as webhook:
        async with courier_to(webhook.url, **config) as posted:
            posted.put()
            failed = await posted.done()
        assert webhook.requests == []
    assert "its certificate is not trusted" in failed.reason


async def test_a_ca_that_is_none_is_named(tmp_path: Path, webhook: Webhook) -> None:
    for name, content, said in (
        ("missing.pem", None, "No such file or directory"),
        ("odd.pem", "no certificate", "no certificate"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_text(content)
        async with courier_to("https://127.0.0.1:1/x", ca_file=str(path)) as posted:
            posted.put()
            failed = await posted.done()
        assert failed.reason.startswith(f"notify[0].ca_file: file {path} can't be read: ")
        assert said.lower() in failed.reason.lower()


# Where it goes


async def test_a_url_that_comes_later_is_found(webhook: Webhook, tmp_path: Path) -> None:
    file = tmp_path / "url"
    async with courier_to({"file": str(file)}) as posted:
        posted.clock.patient.clear()
        posted.put()
        await until(lambda: bool(posted.clock.waited))
        (delayed,) = posted.events
        assert delayed.receiver == "notify[0]"
        assert delayed.reason.startswith(f"notify[0].url: file {file} does not exist")
        file.write_text(f"{webhook.url}\n")
        posted.clock.patient.set()
        assert (await posted.done()).receiver == "127.0.0.1"


@pytest.mark.parametrize(
    "url",
    [
        f"http://alerts.example.com/{CANARY}",
        f"https://user:{CANARY}@alerts.example.com/",
        f"https://alerts.example.com/two words {CANARY}",
        f"https://[:::]/{CANARY}",
        f"https://alerts.example.com:99999/{CANARY}",
        CANARY,
    ],
)
async def test_a_url_that_is_none_is_never_repeated(tmp_path: Path, url: str) -> None:
    file = tmp_path / "url"
    file.write_text(url)
    async with courier_to({"file": str(file)}) as posted:
        posted.put()
        failed = await posted.done()
    assert failed.reason == (
        "notify[0].url: what is there is no https://HOST/PATH (http:// only for loopback)"
    )
    assert CANARY not in str(posted.events)


async def test_nothing_that_shows_itself_shows_a_url(webhook: Webhook) -> None:
    webhook.always(500)
    async with courier_to(webhook.url, secret={"env": "X"}) as posted:
        posted.put()
        await posted.done()
        shown = repr(posted.courier) + repr(posted.events)
    assert "canary" not in shown
    assert "canary" not in repr(WebhookConfig.model_validate({"url": webhook.url}))


async def test_a_crash_is_logged_and_the_next_one_is_sent(webhook: Webhook) -> None:
    calls = 0

    async def resolve_once(reference: Reference, key: str) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyError(CANARY)
        return webhook.url

    async with courier_to({"env": "X"}) as posted:
        posted.courier.receiver.resolve = resolve_once
        posted.put()
        assert (await posted.done()).reason == "internal error: KeyError"
        posted.put()
        assert (await posted.done(2)).result == "sent"
    assert CANARY not in str(posted.events)


async def test_a_source_that_hangs_is_waited_for_no_longer_than_a_receiver() -> None:
    async def hang(reference: Reference, key: str) -> str:
        await asyncio.Event().wait()
        raise ValueUnavailable(key)

    async with courier_to({"env": "X"}, patience=0.02) as posted:
        posted.courier.receiver.resolve = hang
        posted.put()
        assert (await posted.done()).reason == "no answer within 0.02 s"


# Too many, and the end


async def test_when_too_many_wait_the_oldest_go_with_one_word(webhook: Webhook) -> None:
    webhook.always(500)
    letters = [replace(LETTER, id=f"{n}") for n in range(MOST_WAITING + 4)]
    async with courier_to(webhook.url) as posted:
        posted.clock.patient.clear()
        posted.put(letters[0])
        await until(lambda: bool(posted.clock.waited))
        for letter in letters[1:]:
            posted.put(letter)
        dropped = [event for event in posted.events if event.result == "dropped"]
        assert [event.id for event in dropped] == ["1", "2", "3"]
        said = f"more than {MOST_WAITING} wait for this webhook"
        assert [event.reason for event in dropped] == [said, "", ""]
        assert posted.lost == letters[1:4]
        webhook.well()
        posted.clock.patient.set()
        await posted.done(len(letters))
        # Another time is another word.
        webhook.always(500)
        posted.clock.patient.clear()
        for letter in letters[:-1]:
            posted.put(letter)
        again = [event for event in posted.events if event.result == "dropped" and event.reason]
        assert len(again) == 2
        webhook.well()


async def test_at_the_end_what_waits_is_tried_once_more(webhook: Webhook) -> None:
    webhook.answer(500)
    async with courier_to(webhook.url) as posted:
        posted.clock.patient.clear()
        posted.put()
        posted.put(replace(LETTER, id="second"))
        await until(lambda: bool(posted.clock.waited))
        await posted.courier.aclose(grace=5.0)
        assert [event.id for event in posted.last_words] == [LETTER.id, "second"]
    assert [event.result for event in posted.last_words] == ["sent", "sent"]


async def test_hurried_it_still_takes_what_comes(webhook: Webhook) -> None:
    webhook.answer(200, 500)
    async with courier_to(webhook.url) as posted:
        posted.courier.hurry()
        posted.put()
        await posted.done()
        posted.put()
        assert (await posted.done(2)).result == "failed"
    assert posted.clock.waited == []


async def test_the_end_doesnt_wait_for_a_receiver_that_hangs(webhook: Webhook) -> None:
    webhook.always(Trouble.HANG)
    async with courier_to(webhook.url) as posted:
        posted.put()
        posted.put(replace(LETTER, id="second"))
        await until(lambda: len(webhook.requests) == 1)
        loop = asyncio.get_running_loop()
        asked = loop.time()
        await posted.courier.aclose(grace=0.1)
        assert loop.time() - asked < 2
    assert [(event.id, event.result) for event in posted.events] == [
        (LETTER.id, "dropped"),
        ("second", "dropped"),
    ]
    assert posted.events[0].reason == "rotator ends, and 2 had not arrived"
