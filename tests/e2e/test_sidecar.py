"""Ending with the containers beside it, and answering their probes."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import httpx
import pytest

from rotator.observe.metrics import Metrics
from rotator.sandbox.server import Sandbox
from rotator.web.app import create_app
from tests.e2e.test_rotate import GOOD
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.http_state import HeldState
from tests.support.sandbox import SandboxFactory, sandbox
from tests.unit.web.test_app import NOW

__all__ = ["deployment", "sandbox"]


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=2, types=("OPENAI",), settle=0.1)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    return made


async def test_it_ends_once_the_file_is_there(installed: Deployment, tmp_path: Path) -> None:
    done = tmp_path / "done"
    async with installed.daemon("--until-file", str(done)) as running:
        done.touch()
        await running.event("daemon.until_file", path=str(done))
        assert await running.process.wait() == 0
    # A container that is started again after that has nothing to wait for.
    again = await installed.rotator("run", "--until-file", str(done))
    assert again.status == 0


async def test_a_file_that_can_never_come_is_a_mistake(installed: Deployment) -> None:
    refused = await installed.rotator("run", "--until-file", "/nowhere/done")
    assert refused.status == 1
    assert refused.err == (
        "Error: --until-file /nowhere/done: there is no folder /nowhere; "
        "mount what the main container shares with this one\n"
    )


async def test_a_folder_that_cannot_be_read_is_a_mistake(installed: Deployment) -> None:
    loop = installed.folder / "loop"
    loop.symlink_to(loop)
    refused = await installed.rotator("run", "--until-file", str(loop / "done"))
    assert refused.status == 1
    (line,) = refused.err.splitlines()
    assert line.startswith(f"Error: --until-file {loop}/done: ")


async def test_it_ends_when_a_container_beside_it_says_so(installed: Deployment) -> None:
    installed.document["http"]["quit"] = True
    async with installed.daemon() as running, running.client() as client:
        assert (await client.get("/quitquitquit")).status_code == 405
        answer = await client.post("/quitquitquit")
        assert (answer.status_code, answer.json()) == (200, {"quitting": True})
        assert await running.process.wait() == 0


async def test_it_does_not_where_that_is_not_configured(installed: Deployment) -> None:
    async with installed.daemon() as running, running.client() as client:
        answer = await client.post("/quitquitquit")
        assert (answer.status_code, answer.json()) == (
            403,
            {"error": "only http: {quit: true} permits this"},
        )
        assert (await client.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    ("peer", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("10.1.2.3", 403), ("fe80::1", 403)],
)
async def test_nor_for_anybody_outside_of_the_pod(peer: str, status: int) -> None:
    told: list[bool] = []
    app = create_app(HeldState(NOW).view, Metrics().scrape, None, lambda: told.append(True))
    transport = httpx.ASGITransport(app, client=(peer, 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://rotator") as client:
        assert (await client.post("/quitquitquit")).status_code == status
    assert bool(told) is (status == 200)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def test_health_asks_the_daemon_of_this_machine(installed: Deployment) -> None:
    installed.document["http"]["listen"] = f"0.0.0.0:{free_port()}"
    nobody = await installed.rotator("health")
    assert nobody.status == 1
    assert "/livez: no answer: " in nobody.err
    async with installed.daemon() as running:
        fine = await installed.rotator("health")
        assert (fine.status, fine.out) == (0, "ok\n")
        await running.event("daemon.ready")
        assert (await installed.rotator("health", "--ready")).status == 0


async def test_health_says_what_is_missing(installed: Deployment) -> None:
    installed.document["http"]["listen"] = f"127.0.0.1:{free_port()}"
    installed.target["url"] = f"http://127.0.0.1:{free_port()}"
    async with installed.daemon():
        assert (await installed.rotator("health")).status == 0
        unready = await installed.rotator("health", "--ready")
        assert unready.status == 1
        assert "target sandbox: not reached yet" in unready.err


async def test_health_of_a_daemon_whose_loop_hangs(installed: Deployment) -> None:
    installed.document["http"]["listen"] = f"127.0.0.1:{free_port()}"
    async with installed.daemon() as running:
        running.process.send_signal(signal.SIGSTOP)
        hung = await installed.rotator("health", "--timeout", "0.5")
        running.process.send_signal(signal.SIGCONT)
        assert hung.status == 1
        assert "/livez: no answer: timed out" in hung.err
        assert (await installed.rotator("health")).status == 0


async def test_health_without_a_configuration_to_read(installed: Deployment) -> None:
    missing = await installed.rotator("health", "-c", "absent.yaml")
    assert missing.status == 1
    assert missing.err == "Error: absent.yaml can't be read; name the configuration with -c\n"


async def test_health_of_an_invalid_address(installed: Deployment) -> None:
    written = installed.folder / "odd.yaml"
    for listen in ("127.0.0.1:99999", f"{'a' * 70}.example:80"):
        written.write_text(f"http: {{listen: '{listen}'}}\n")
        odd = await installed.rotator("health", "-c", str(written))
        assert odd.status == 1
        assert odd.err.startswith(f"Error: {listen}/livez: no answer: ")
    backwards = await installed.rotator("health", "--timeout", "-1")
    assert backwards.status == 1
    assert "-1.0 is not in the range" in backwards.err
