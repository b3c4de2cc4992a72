"""The routes, over real sockets."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rotator.config.models import FromFile
from rotator.config.references import resolve_local
from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.observe.metrics import Metrics
from rotator.web.views import ConnectionView, LeaseView, RotationView, SourceView
from tests.support.configuration import configured
from tests.support.http_state import HeldState, web

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FINGERPRINT = "f1n9e4"
RUN = Run(
    "run-1", "openai", "schedule", NOW, NOW + timedelta(seconds=4), RunResult.FAILED,
    "1 failed", {"rotated": 1, "failed": 1},
)  # fmt: skip
OUTCOME = Outcome(
    "run-1", "openai", "prod", "chat", Result.FAILED, "INVALID_AUTH", NOW, "INVALID_AUTH",
    fingerprint=FINGERPRINT, secret_version="v2",
)  # fmt: skip
ROTATIONS = tuple(
    RotationView(name, ("prod",), "cron 0 3 * * sun (UTC)", None, NOW, None, None)
    for name in ("openai", "vertex")
)


def connection(name: str, rotation: str = "openai", phase: str = "READY") -> ConnectionView:
    return ConnectionView("prod", name, rotation, phase, "verified", NOW, NOW, "v1", None, "run-1")


@pytest.fixture
def state() -> HeldState:
    held = (
        connection("chat-1"),
        connection("chat-2", phase="INVALID_AUTH"),
        connection("vision", "vertex"),
    )
    return HeldState(NOW, ROTATIONS, held, known={"run-1": (RUN, (OUTCOME,))})


@pytest.fixture
async def client(state: HeldState) -> AsyncIterator[httpx.AsyncClient]:
    async with web(state) as client:
        yield client


async def test_livez_follows_the_scheduler(client: httpx.AsyncClient, state: HeldState) -> None:
    assert (await client.get("/livez")).status_code == 200
    state.stalled = True
    answer = await client.get("/livez")
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "checks": {"scheduler": "stalled"}}


async def test_readyz_names_what_is_missing(client: httpx.AsyncClient, state: HeldState) -> None:
    assert (await client.get("/readyz")).json()["ok"] is True
    state.missing = {"target prod": "not reached yet"}
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["target prod"] == "not reached yet"


async def test_rotations_and_runs(client: httpx.AsyncClient) -> None:
    rotations = (await client.get("/api/v1/rotations")).json()["rotations"]
    assert [view["name"] for view in rotations] == ["openai", "vertex"]
    assert rotations[0]["next_run"] == "2026-11-20T12:00:00+00:00"
    (run,) = (await client.get("/api/v1/runs", params={"rotation": "openai"})).json()["runs"]
    assert (run["id"], run["result"], run["counts"]) == ("run-1", "failed", RUN.counts)
    assert (await client.get("/api/v1/runs", params={"rotation": "vertex"})).json()["runs"] == []


async def test_a_run_has_its_outcomes_and_no_fingerprint(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/runs/run-1")
    (outcome,) = answer.json()["outcomes"]
    assert (outcome["connection"], outcome["reason"]) == ("chat", "INVALID_AUTH")
    assert FINGERPRINT not in answer.text
    assert (await client.get("/api/v1/runs/run-2")).status_code == 404


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["chat-1", "chat-2", "vision"]),
        ({"rotation": "vertex"}, ["vision"]),
        ({"phase": "INVALID_AUTH"}, ["chat-2"]),
        ({"name": "chat-*"}, ["chat-1", "chat-2"]),
        ({"name": "chat-*", "limit": "1", "offset": "1"}, ["chat-2"]),
        ({"target": "stage"}, []),
        ({"limit": "0"}, []),
    ],
)
async def test_connections_are_filtered_and_paged(
    client: httpx.AsyncClient, query: dict[str, str], names: list[str]
) -> None:
    answer = (await client.get("/api/v1/connections", params=query)).json()
    assert [view["connection"] for view in answer["connections"]] == names
    unpaged = {key: value for key, value in query.items() if key not in {"limit", "offset"}}
    everything = (await client.get("/api/v1/connections", params=unpaged)).json()
    assert answer["total"] == len(everything["connections"])


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/api/v1/connections?limit=-1", "limit"),
        ("/api/v1/connections?limit=10001", "10000"),
        ("/api/v1/connections?limit=%D9%A1", "limit"),
        ("/api/v1/connections?offset=1e3", "offset"),
        ("/api/v1/connections?limit=", "limit"),
        ("/api/v1/connections?phases=READY", "phase"),
        ("/api/v1/runs?limit=99999999999999999999", "limit"),
        ("/api/v1/rotations?limit=1", "unknown"),
    ],
)
async def test_a_bad_query_is_refused_with_words(
    client: httpx.AsyncClient, path: str, word: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 400
    assert word in answer.json()["error"]


async def test_a_404_is_json_too(client: httpx.AsyncClient) -> None:
    for path in ("/api/v1/nothing", "/api/v2/runs", "/nothing", "/api/v1/runs/a/b"):
        answer = await client.get(path)
        assert (answer.status_code, list(answer.json())) == (404, ["error"])
    for method, path in (("PUT", "/api/v1/runs"), ("GET", "/api/v1/rotations/openai/run")):
        answer = await client.request(method, path)
        assert (answer.status_code, list(answer.json())) == (405, ["error"])
        assert answer.headers["allow"]


async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/", "/metrics", "/livez", "/api/v1/runs", "/nothing"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "server" not in headers


async def test_head_is_a_get_without_its_body(client: httpx.AsyncClient) -> None:
    for path in ("/", "/metrics", "/livez", "/readyz", "/api/v1/connections"):
        head, get = await client.head(path), await client.get(path)
        assert (head.status_code, head.content) == (get.status_code, b"")


async def test_a_ledger_that_fails_is_a_503_with_its_words(
    client: httpx.AsyncClient, state: HeldState
) -> None:
    state.ledger_error = "ledger.db: disk full"
    for path in ("connections", "leases", "runs", "runs/run-1"):
        answer = await client.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()) == (503, {"error": "ledger.db: disk full"})
    for path in ("/", "/connection?target=prod&name=chat-1", "/run?id=run-1"):
        page = await client.get(path)
        assert page.status_code == 503
        assert "<p>ledger.db: disk full</p>" in page.text
    assert (await client.get("/livez")).status_code == 200


async def test_a_crash_is_a_500_that_says_nothing_of_it(
    client: httpx.AsyncClient, state: HeldState
) -> None:
    state.crash = KeyError("sk-canary-value")
    answer = await client.get("/api/v1/connections")
    assert answer.status_code == 500
    assert "log" in answer.json()["error"]
    assert "canary" not in answer.text
    state.crash = None
    assert (await client.get("/api/v1/connections")).status_code == 200


# Starting a run


async def test_without_a_token_nothing_can_be_started(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/v1/rotations/openai/run", headers={"Authorization": "Bearer x"}
    )
    assert answer.status_code == 403
    assert "http.token" in answer.json()["error"]


async def test_a_run_is_started_with_the_token_that_the_file_holds_now(
    state: HeldState, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    path = "/api/v1/rotations/openai/run"

    async def token() -> str:
        return resolve_local(FromFile(file=file), "http.token")

    def bearer(value: str, scheme: str = "Bearer") -> dict[bytes, bytes]:
        return {b"Authorization": f"{scheme} {value}".encode()}

    async with web(state, token=token) as client:
        assert (await client.post(path, headers=bearer("first"))).status_code == 503
        file.write_text("first\n")
        empty = {b"Authorization": b"Bearer"}
        for wrong in ({}, empty, bearer("firs"), bearer("first", "Basic"), bearer("fürst")):
            refused = await client.post(path, headers=wrong)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        started = await client.post(path, headers=bearer("first"))
        assert (started.status_code, started.json()) == (202, {"run": "run-of-openai"})
        assert started.headers["location"] == "/api/v1/runs/run-of-openai"

        file.write_text("zwölf\n")
        assert (await client.post(path, headers=bearer("first"))).status_code == 401
        busy = await client.post(path, headers=bearer("zwölf", "bearer"))
        assert (busy.status_code, busy.json()["run"]) == (409, "run-of-openai")
        state.finish("openai")
        assert (await client.post(path, headers=bearer("zwölf"))).status_code == 202
        unknown = await client.post("/api/v1/rotations/nothing/run", headers=bearer("zwölf"))
        assert unknown.status_code == 404

        file.unlink()
        lost = await client.post(path, headers=bearer("zwölf"))
        assert lost.status_code == 503
        assert "token" in lost.json()["error"]


# Metrics


def metrics() -> Metrics:
    made = Metrics()
    made.configured(configured(openai={}))
    return made


async def test_metrics_speak_the_format_that_is_asked_for(state: HeldState) -> None:
    async with web(state, metrics().scrape) as client:
        plain = await client.get("/metrics")
        assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
        found = {family.name for family in text_string_to_metric_families(plain.text)}
        assert "rotator_build_info" in found
        asked = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
        openmetrics = await client.get("/metrics", headers=asked)
        assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
        assert openmetrics.text.endswith("# EOF\n")
        odd = {"Accept": "application/openmetrics-text;version=newest"}
        refused = await client.get("/metrics", headers=odd)
        assert (refused.status_code, list(refused.json())) == (400, ["error"])


async def test_metrics_are_compressed_where_the_client_accepts_it(state: HeldState) -> None:
    async with web(state, metrics().scrape) as client:
        async with client.stream("GET", "/metrics", headers={"Accept-Encoding": "gzip"}) as answer:
            raw = b"".join([part async for part in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        plain = await client.get("/metrics", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert b"rotator_build_info" in plain.content
        assert gzip.decompress(raw) == plain.content


# The page


async def test_the_page_shows_what_there_is(client: httpx.AsyncClient, state: HeldState) -> None:
    state.views = (
        replace(ROTATIONS[0], last_run=RUN, cron="0 3 * * sun", timezone="Europe/Berlin"),
        replace(ROTATIONS[1], running="run-2"),
    )
    page = await client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    words = ("chat-1", "vision", "INVALID_AUTH", "1 failed", "under way", "only on Sunday")
    for word in (*words, "viewport", "1 of 3 connections needs attention"):
        assert word in page.text
    assert "follows" not in page.text
    state.follows = "pod-b"
    assert "pod-b leads; this process follows" in (await client.get("/")).text


async def test_the_filters_of_the_page_are_those_of_its_address(
    client: httpx.AsyncClient, state: HeldState
) -> None:
    async def shown(query: str) -> list[str]:
        text = (await client.get(f"/?{query}")).text
        return [name for name in ("chat-1", "chat-2", "vision") if f">{name}</a>" in text]

    assert await shown("") == ["chat-1", "chat-2", "vision"]
    assert await shown("search=CHAT") == ["chat-1", "chat-2"]
    assert await shown("search=*-2&phase=INVALID_AUTH&nonsense=1&page=9&order=odd") == ["chat-2"]
    assert await shown("rotation=vertex") == ["vision"]
    assert await shown("type=OPENAI") == []
    assert "No connection is like that" in (await client.get("/?target=x")).text


async def test_a_connection_and_a_run_have_pages(
    client: httpx.AsyncClient, state: HeldState
) -> None:
    state.history = (OUTCOME,)
    here = await client.get("/connection", params={"target": "prod", "name": "chat-1"})
    assert here.status_code == 200
    assert "Nothing was done with it yet" in here.text
    gone = await client.get("/connection", params={"target": "prod", "name": OUTCOME.connection})
    assert gone.status_code == 200
    assert "not there any more" in gone.text
    assert FINGERPRINT not in gone.text
    assert (await client.get("/connection?target=prod&name=other")).status_code == 404
    run = await client.get("/run?id=run-1")
    assert "1 failed" in run.text
    assert 'href="connection?target=prod&amp;name=chat"' in run.text
    assert (await client.get("/run?id=other")).status_code == 404
    assert (await client.get("/run")).status_code == 404


@pytest.mark.parametrize(
    ("changes", "put", "ready"),
    [
        ({}, "5 min ago, verified", "4 min ago"),
        ({"stage": "put", "verified_at": None}, "5 min ago, not verified", "no"),
        ({"stage": "failed", "verified_at": -3600}, "5 min ago, not verified", "no"),
        ({"stage": "intended"}, "5 min ago, verified", "4 min ago"),
        ({"stage": "refused", "put_at": None, "verified_at": None}, "never", "no"),
        ({"stage": "verified", "put_at": None, "verified_at": None}, "never", "no"),
    ],
    ids=["verified", "put", "failed", "another under way", "refused", "adopted"],
)
async def test_what_was_put_says_when_and_whether_it_was_verified(
    client: httpx.AsyncClient, state: HeldState, changes: dict[str, Any], put: str, ready: str
) -> None:
    moment = datetime.now(UTC) - timedelta(minutes=5, seconds=30)
    seconds = {"put_at": 0, "verified_at": 60, **changes}
    times = {
        name: moment + timedelta(seconds=seconds[name]) if seconds[name] is not None else None
        for name in ("put_at", "verified_at")
    }
    state.held = (replace(connection("chat-1"), **{**changes, **times}),)
    page = await client.get("/connection?target=prod&name=chat-1")
    told = dict(re.findall(r"<dt>([^<]*)</dt><dd>(.*?)</dd>", page.text))
    text = {name: re.sub(r"<[^>]*>", "", said) for name, said in told.items()}
    assert (text["Credential put"], text["Seen READY after it"]) == (put, ready)
    (view,) = (await client.get("/api/v1/connections")).json()["connections"]
    assert view["put_at"] == (times["put_at"].isoformat() if times["put_at"] else None)


async def test_nothing_is_loaded_from_elsewhere_and_what_is_loaded_may_be_kept(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert [link for link in links if "://" in link or link.startswith("/")] == []
    assets = [link for link in links if link.startswith("static/")]
    assert len(assets) == 3
    for link in assets:
        asset = await client.get(f"/{link}")
        assert asset.status_code == 200
        assert "immutable" in asset.headers["cache-control"]
        assert asset.headers["x-content-type-options"] == "nosniff"
        of_another_version = await client.get(f"/{link}0")
        assert of_another_version.headers["cache-control"] == "no-store"
    assert (await client.get("/static/..%2Fapp.py")).status_code == 404
    assert re.search(r"<script(?! src=)|<style|\son\w+=|style=", page.text) is None


async def test_sources_and_leases_are_in_the_api(
    client: httpx.AsyncClient, state: HeldState
) -> None:
    state.read = (SourceView("vault", "vault", NOW, None, "", None),)
    assert (await client.get("/api/v1/sources")).json()["sources"][0]["kind"] == "vault"
    state.lent = (LeaseView("id", "vault", "openai", "openai", "live", NOW, None, None),)
    assert (await client.get("/api/v1/leases")).json()["leases"][0]["state"] == "live"


@pytest.mark.parametrize("odd", ["<script>alert(1)</script>", '"><img src=x>', "&lt;", "\ud800"])
async def test_nothing_on_the_page_is_taken_for_html(
    client: httpx.AsyncClient, state: HeldState, odd: str
) -> None:
    state.held = (replace(connection(odd), rotation=odd, phase=odd, error=odd, stage=odd),)
    state.views = (replace(ROTATIONS[0], schedule=odd, last_run=replace(RUN, reason=odd)),)
    page = await client.get("/")
    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "<img" not in page.text
    assert ("&amp;lt;" in page.text) == (odd == "&lt;")
    views = (await client.get("/api/v1/connections")).json()["connections"]
    assert views[0]["connection"] == odd
