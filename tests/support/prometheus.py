"""A real Prometheus on loopback, asked over its HTTP API."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.waiting import until_so

INTERVAL = 0.5
"""Seconds between two scrapes, and between two evaluations of rules."""
STEP = 1.0
"""Seconds between two points of a range query."""
STOP_DEADLINE = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a query, or the reason why Prometheus refuses it."""

    series: list[dict[str, Any]] = field(default_factory=list)
    mistake: str = ""

    @property
    def numbers(self) -> list[float]:
        """The values that a panel would draw: neither NaN nor infinite."""
        pairs = (
            pair
            for one in self.series
            for pair in (one["values"] if "values" in one else [one["value"]])
        )
        return [number for _, text in pairs if isfinite(number := float(text))]


@dataclass(slots=True)
class Prometheus:
    client: httpx.AsyncClient

    async def now(self, expression: str) -> Answer:
        return await self._ask("query", {"query": expression})

    async def over(self, expression: str, start: float, end: float) -> Answer:
        """`start` and `end` are seconds since the epoch."""
        place = {"start": str(start), "end": str(end), "step": str(STEP)}
        return await self._ask("query_range", {"query": expression, **place})

    async def exemplars(self, expression: str, start: float, end: float) -> list[dict[str, Any]]:
        place = {"start": str(start), "end": str(end)}
        answer = await self._ask("query_exemplars", {"query": expression, **place})
        assert not answer.mistake, answer.mistake
        return [exemplar for one in answer.series for exemplar in one["exemplars"]]

    async def rules(self) -> list[dict[str, Any]]:
        answer = (await self.client.get("/api/v1/rules")).raise_for_status()
        return [rule for group in answer.json()["data"]["groups"] for rule in group["rules"]]

    async def values(self, label: str, series: str) -> list[str]:
        answer = await self.client.get(f"/api/v1/label/{label}/values", params={"match[]": series})
        found: list[str] = answer.raise_for_status().json()["data"]
        return found

    async def scraped(self, expression: str, least: float = 1) -> None:
        """Waits until the expression gives at least this."""

        async def enough() -> bool:
            return max((await self.now(expression)).numbers, default=least - 1) >= least

        await until_so(enough)

    async def _ask(self, what: str, query: Mapping[str, str]) -> Answer:
        answer = await self.client.post(f"/api/v1/{what}", data=dict(query))
        told = answer.json()
        if told["status"] != "success":
            return Answer(mistake=f"{told['errorType']}: {told['error']}")
        data = told["data"]
        return Answer(data if isinstance(data, list) else data["result"])


@asynccontextmanager
async def prometheus_running(
    folder: Path, scraped: Sequence[str], rules: Path | None = None
) -> AsyncIterator[Prometheus]:
    """`scraped` are the addresses (`HOST:PORT`) of the job `rotator`."""
    program = shutil.which("prometheus")
    assert program is not None, "tests that come here are marked with the tool"
    folder.mkdir()
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(_configuration(scraped, rules)))
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
        stdin=asyncio.subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False
        ) as client:

            async def ready() -> bool:
                assert process.returncode is None, f"prometheus ended with {process.returncode}"
                try:
                    return (await client.get("/-/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await until_so(ready)
            yield Prometheus(client)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_DEADLINE):
            await process.wait()


def _configuration(scraped: Sequence[str], rules: Path | None) -> dict[str, Any]:
    pace = f"{INTERVAL * 1000:.0f}ms"
    return {
        "global": {
            "scrape_interval": pace,
            "scrape_timeout": pace,
            "evaluation_interval": pace,
        },
        "rule_files": [str(rules)] if rules is not None else [],
        "scrape_configs": [
            {
                "job_name": "rotator",
                "static_configs": [
                    {"targets": list(scraped), "labels": {"namespace": "credentials"}}
                ],
            }
        ],
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
