"""Where Leases are kept: the fake API server, or a real one that the environment names.

ROTATOR_TEST_KUBE_URL, ROTATOR_TEST_KUBE_TOKEN (of somebody who may do everything with Leases in the
namespace `default`) and ROTATOR_TEST_KUBE_CA (a file; the certificate must be good for 127.0.0.1,
since clients come over ways that can be cut).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from rotator.coordination.lease import timestamp
from tests.support.kubernetes import EVERYTHING, kubernetes_running
from tests.support.partition import Way, way_to

REAL_URL = os.environ.get("ROTATOR_TEST_KUBE_URL")
NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Cluster:
    """What an administrator sees and does, over HTTP."""

    url: str
    token_file: Path
    ca_file: Path | None
    name: str
    """The name of the Lease."""
    stack: AsyncExitStack

    async def way(self) -> Way:
        """A connection to the API server for one client, which can be cut."""
        place = urlsplit(self.url)
        assert place.hostname is not None
        assert place.port is not None
        return await self.stack.enter_async_context(way_to(place.hostname, place.port))

    def coordination(self, identity: str, way: Way, seconds: int) -> dict[str, Any]:
        """The section of a replica's configuration."""
        section = {
            "kind": "lease",
            "namespace": NAMESPACE,
            "name": self.name,
            "identity": identity,
            "lease_duration": f"{seconds}s",
            "url": f"{urlsplit(self.url).scheme}://127.0.0.1:{way.here}",
            "token_file": str(self.token_file),
        }
        return section | ({"ca_file": str(self.ca_file)} if self.ca_file else {})

    async def lease(self) -> dict[str, Any] | None:
        answer = await self._ask("GET", f"/{self.name}")
        if answer.status_code == 404:
            return None
        lease: dict[str, Any] = answer.raise_for_status().json()
        return lease

    async def holder(self) -> str:
        lease = await self.lease()
        return str(lease["spec"].get("holderIdentity", "")) if lease else ""

    async def delete(self) -> None:
        (await self._ask("DELETE", f"/{self.name}")).raise_for_status()

    async def steal(self, thief: str, seconds: int) -> None:
        """Another program writes itself into the Lease once, and is never heard of again."""
        now = timestamp(datetime.now(UTC))
        spec = {
            "holderIdentity": thief,
            "leaseDurationSeconds": seconds,
            "acquireTime": now,
            "renewTime": now,
        }
        await self._merge({"spec": spec})

    async def touch(self) -> None:
        await self._merge({"metadata": {"annotations": {"touched": str(datetime.now(UTC))}}})

    async def _merge(self, patch: dict[str, Any]) -> None:
        (await self._ask("PATCH", f"/{self.name}", json=patch)).raise_for_status()

    async def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        verify = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True
        base = f"{self.url}/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
        headers = {"Authorization": f"Bearer {self.token_file.read_text()}"}
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        async with httpx.AsyncClient(verify=verify, trust_env=False) as client:
            return await client.request(method, base + path, headers=headers, **content)


@asynccontextmanager
async def cluster_running(folder: Path) -> AsyncIterator[Cluster]:
    token_file = folder / "kube-token"
    name = f"rotator-test-{os.urandom(4).hex()}"
    async with AsyncExitStack() as stack:
        if REAL_URL:
            token_file.write_text(os.environ["ROTATOR_TEST_KUBE_TOKEN"])
            ca_file = Path(os.environ["ROTATOR_TEST_KUBE_CA"])
            yield Cluster(REAL_URL, token_file, ca_file, name, stack)
            return
        server = stack.enter_context(kubernetes_running())
        token_file.write_text(server.account("admin", EVERYTHING))
        yield Cluster(server.url, token_file, None, name, stack)
