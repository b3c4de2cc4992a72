"""/sandbox/… over real sockets, and the sandbox as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from rotator.sandbox.connections import credential_digest
from tests.support.sandbox import (
    SandboxFactory,
    SandboxProcess,
    client_of,
    gateway_path,
    sandbox,
    sandbox_process,
    update_body,
)

__all__ = ["sandbox", "sandbox_process"]

ONE = gateway_path() + "/openai-001"
CONTROL_ONE = "/sandbox/environments/env-sandbox/connections/openai-001"
CANARY = "canary-5b1e"


async def test_counts_and_forgets(sandbox: SandboxFactory) -> None:
    async with client_of(await sandbox(connections=1, types=("OPENAI",))) as client:
        await client.get(gateway_path())
        await client.get(ONE, auth=None)
        await client.put(ONE, json=update_body("openai-001", {"API_KEY": "a"}))
        counted = (await client.get("/sandbox/counters")).json()
        assert counted["requests"] == {"GET": {"200": 1, "401": 1}, "PUT": {"200": 1}}
        assert counted["updates"] == {"env-sandbox/openai-001": 1}
        assert counted["update_order"] == ["env-sandbox/openai-001"]
        assert counted["lists"] == 1
        assert (await client.delete("/sandbox/counters")).status_code == 204
        assert (await client.get("/sandbox/counters")).json()["requests"] == {}


async def test_shows_a_digest_of_the_credential_and_not_the_credential(
    sandbox: SandboxFactory,
) -> None:
    async with client_of(await sandbox(connections=1, types=("OPENAI",), settle=0)) as client:
        await client.put(ONE, json=update_body("openai-001", {"API_KEY": CANARY}))
        shown = await client.get(CONTROL_ONE)
        everything = await client.get("/sandbox/environments/env-sandbox/connections")
    assert shown.json()["credential_sha256"] == credential_digest({"API_KEY": CANARY})
    assert shown.json()["updates"] == 1
    assert everything.json() == [shown.json()]
    assert CANARY not in shown.text + everything.text


async def test_orders_faults_and_takes_them_back(sandbox: SandboxFactory) -> None:
    async with client_of(await sandbox()) as client:
        orders = [{"kind": "error-503", "times": 2}, {"kind": "error-500", "method": "PUT"}]
        assert (await client.post("/sandbox/faults", json=orders)).status_code == 204
        assert (await client.get(gateway_path())).status_code == 503
        pending = (await client.get("/sandbox/faults")).json()
        assert [fault["kind"] for fault in pending] == ["error-503", "error-500"]
        assert (await client.delete("/sandbox/faults")).status_code == 204
        assert (await client.get(gateway_path())).status_code == 200


async def test_changes_settings_while_it_runs(sandbox: SandboxFactory) -> None:
    running_sandbox = await sandbox(connections=1, types=("OPENAI",), settle=0)
    async with client_of(running_sandbox) as client:
        changes = {"accept": {"accepted": ["good"]}, "limit": {"requests": 1000}}
        assert (await client.patch("/sandbox/settings", json=changes)).status_code == 204
        phases = []
        for value in ("good", "other"):
            await client.put(ONE, json=update_body("openai-001", {"API_KEY": value}))
            answer = await client.get(ONE)
            phases.append(answer.json()["status"]["phase"])
        assert phases == ["READY", "INVALID_AUTH"]
        assert answer.headers["X-RateLimit-Limit"] == "1000"
        await client.patch("/sandbox/settings", json={"limit": None, "faults": {"error-500": 1}})
        assert (await client.get(ONE)).status_code == 500


async def test_furnishes_and_forces(sandbox: SandboxFactory) -> None:
    async with client_of(await sandbox()) as client:
        assert (await client.post("/sandbox/environments", json={"name": "e-2"})).status_code == 204
        made = await client.post(
            "/sandbox/environments/e-2/connections", json={"count": 2, "types": ["OPENAI"]}
        )
        assert made.json() == {"names": ["openai-001", "openai-002"]}
        statement = {"name": "s", "sql": "SELECT 1", "connection_refs": ["openai-001"]}
        added = await client.post("/sandbox/environments/e-2/statements", json=statement)
        assert added.status_code == 201
        forced = await client.put(
            "/sandbox/environments/e-2/connections/openai-001/phase", json={"phase": "NEW_PHASE"}
        )
        assert forced.status_code == 204
        page = (await client.get(gateway_path(environment="e-2"))).json()
        assert [item["status"]["phase"] for item in page["data"]] == ["NEW_PHASE", "READY"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/sandbox/faults", {"kind": CANARY}, 400),
        ("POST", "/sandbox/faults", {"kind": "reset", "sort": "x"}, 400),
        ("POST", "/sandbox/faults", {"kind": "reset", "times": 0}, 400),
        ("PATCH", "/sandbox/settings", {"latency": CANARY}, 400),
        ("PATCH", "/sandbox/settings", {"seed": 3}, 400),
        ("PATCH", "/sandbox/settings", {"orders": []}, 400),
        ("PATCH", "/sandbox/settings", {"patch_version": CANARY}, 400),
        ("PATCH", "/sandbox/settings", [], 400),
        ("GET", "/sandbox/environments/none/connections", None, 404),
        ("GET", "/sandbox/environments/env-sandbox/connections/none", None, 404),
        ("PUT", "/sandbox/environments/env-sandbox/connections/none/phase", {"phase": "X"}, 404),
        ("DELETE", "/sandbox/settings", None, 405),
        ("GET", "/nowhere", None, 404),
    ],
)
async def test_refuses_what_it_does_not_know(
    sandbox: SandboxFactory, method: str, path: str, body: Any, status: int
) -> None:
    async with client_of(await sandbox()) as client:
        answer = await client.request(method, path, json=body)
    assert answer.status_code == status
    assert CANARY not in answer.text


async def test_explains_itself_and_every_address_is_there(sandbox: SandboxFactory) -> None:
    async with client_of(await sandbox()) as client:
        guide = (await client.get("/")).text
        assert guide == (await client.get("/sandbox")).text
        for line in guide.splitlines():
            method, _, rest = line.partition(" ")
            if method.isupper():
                path = rest.split()[0].partition("[")[0]
                assert (await client.request(method, path)).status_code not in {405, 500}, line


class TestProcess:
    def test_serves_until_a_signal(self, sandbox_process: Callable[..., SandboxProcess]) -> None:
        started = sandbox_process("--connections", "3", "--type", "openai", "--environment", "e-1")
        with started.control() as control:
            shown = control.get("environments/e-1/connections").json()
            assert [item["name"] for item in shown] == ["openai-001", "openai-002", "openai-003"]
        for number in (signal.SIGTERM, signal.SIGINT):
            other = sandbox_process()
            other.process.send_signal(number)
            assert other.process.wait(10) == 0

    def test_ends_on_a_signal_with_a_request_under_way(
        self, sandbox_process: Callable[..., SandboxProcess]
    ) -> None:
        started = sandbox_process("--latency", "10m")
        with started.control() as client, pytest.raises(httpx.ReadTimeout):
            client.get(started.url + gateway_path(), timeout=httpx.Timeout(10, read=0.2))
        started.process.terminate()
        assert started.process.wait(10) == 0

    def test_settings_come_from_a_file_and_options_win(
        self, sandbox_process: Callable[..., SandboxProcess], tmp_path: Path
    ) -> None:
        file = tmp_path / "sandbox.yaml"
        file.write_text("connections: 5\nkeys: {mine: 's3cret'}\nenvironments: [env-x]\n")
        started = sandbox_process("--settings", str(file), "--connections", "2")
        with httpx.Client(base_url=started.url, auth=("mine", "s3cret"), trust_env=False) as client:
            answer = client.get(gateway_path(environment="env-x"))
        assert len(answer.json()["data"]) == 2

    def test_every_lag_and_order_can_be_set_at_the_start(
        self, sandbox_process: Callable[..., SandboxProcess]
    ) -> None:
        started = sandbox_process(
            *("--phase-lag", "500ms", "--lag", "1s", "--update-answer", "connection"),
            *("--patch-version", "ignore", "--connections", "1", "--type", "openai"),
            *("--order", '{"kind": "method-not-allowed"}'),
            *("--order", '{"kind": "unlisted", "path": "*/openai-001", "times": 3}'),
        )
        with httpx.Client(
            base_url=started.url, auth=("sandbox-key", "sandbox-secret"), trust_env=False
        ) as client:
            orders = client.get("/sandbox/faults").json()
            refused = client.put(ONE, json=update_body("openai-001", {"API_KEY": "a"}))
            patched = client.patch(ONE, json=update_body("openai-001", {"API_KEY": "a"}, "0"))
        assert [(order["kind"], order["times"]) for order in orders] == [
            ("method-not-allowed", 1),
            ("unlisted", 3),
        ]
        assert refused.status_code == 405
        assert (patched.status_code, patched.json()["name"]) == (200, "openai-001")
        assert patched.json()["status"]["phase"] == "READY"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--fault", "eror=0.1"], "faults.eror"),
            (["--order", "reset"], "write a fault as JSON"),
            (["--order", '{"kind": "resett"}'], "orders.0.kind: "),
            (["--phase-lag", "5"], "write a duration"),
            (["--fault", "reset"], "error-500=0.05"),
            (["--latency", "5"], "write a duration"),
            (["--connections", "-1"], "connections: "),
            (["--settings", "absent.yaml"], "absent.yaml: No such file"),
            (["--settings", "broken.yaml"], "broken.yaml: not YAML"),
            (["--settings", "list.yaml"], "list.yaml: must be a mapping"),
            (["--settings", "wrong.yaml"], "keys.mine: "),
            (["--no-such-option"], "--no-such-option"),
        ],
    )
    def test_a_mistake_is_one_clear_line(
        self, tmp_path: Path, arguments: list[str], message: str
    ) -> None:
        (tmp_path / "broken.yaml").write_text(f"a: [{CANARY}")
        (tmp_path / "list.yaml").write_text("[1]")
        (tmp_path / "wrong.yaml").write_text(f"keys: {{mine: {{secret: {CANARY}}}}}")
        ended = run(*arguments, cwd=tmp_path)
        last = ended.stderr.strip().splitlines()[-1]
        assert ended.returncode == 1
        assert last.startswith("Error: ")
        assert message in last
        assert "Traceback" not in ended.stderr
        assert CANARY not in ended.stderr

    def test_a_port_in_use_is_named(self, sandbox_process: Callable[..., SandboxProcess]) -> None:
        port = sandbox_process().url.rpartition(":")[2]
        ended = run("--port", port)
        assert ended.returncode == 1
        assert ended.stderr == (
            f"Error: port {port} of 127.0.0.1 is in use; "
            "choose another with --port (0 takes a free one)\n"
        )


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rotator.sandbox", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=cwd,
        env={**os.environ},
        check=False,
    )
