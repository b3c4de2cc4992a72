"""The image, run as tightly as a cluster would: `make image-test` (no part of `make test`)."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from rotator.sandbox.settings import API_KEY, API_SECRET, ENVIRONMENT
from tests.e2e.test_sidecar import free_port
from tests.image.engine import IMAGE, MEMORY, Engine, engine
from tests.support.deployment import Deployment
from tests.support.sandbox import SandboxProcess, sandbox_running_as_process
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
MOST_ADDED = 130_000_000
"""Bytes over the base."""
DRAINED_WITHIN = 10.0
DEADLINE = 60.0
USER = 65532

KEYS = (f"--env=SANDBOX_KEY={API_KEY}", f"--env=SANDBOX_SECRET={API_SECRET}")
LOOK = """
import errno, json, os
def refused(path):
    try:
        open(path, "w")
    except OSError as error:
        return errno.errorcode[error.errno]
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
limits = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
print(json.dumps({
    "uid": [os.getuid(), os.getgid()],
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")],
    "no_new_privileges": int(status["NoNewPrivs"]),
    "memory": [int(open(path).read()) for path in limits if os.path.exists(path)],
    "refused": {p: refused(p) for p in ("/x", "/opt/rotator/x", "/etc/x", "/usr/x", "/tmp/x")},
    "ledger": refused("/var/lib/rotator/x"),
}))
"""


@pytest.fixture(scope="module")
def run() -> Engine:
    assert IMAGE, "ROTATOR_TEST_IMAGE names no image; run `make image-test`"
    return Engine(engine())


@pytest.fixture
def cloud() -> Iterator[SandboxProcess]:
    with sandbox_running_as_process("--connections", "3", "--settle", "100ms") as cloud:
        yield cloud


@pytest.fixture
def installed(tmp_path: Path, cloud: SandboxProcess) -> Deployment:
    made = Deployment(tmp_path, cloud.url)
    made.document["ledger"]["url"] = "sqlite:///var/lib/rotator/ledger.db"
    made.document["http"]["listen"] = f"127.0.0.1:{free_port()}"
    made.document["sources"]["mounted"]["root"] = "/secrets"
    made.rotation["match"] = {"name": ["*"], "type": ["OPENAI"]}
    made.rotation["watch"] = "1s"
    made.secret("openai", {"api_key": "sk-canary-1"})
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "rotator.yaml").write_text(yaml.safe_dump(made.document))
    for path in (tmp_path, *tmp_path.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    return made


def mounts(made: Deployment) -> dict[Path, str]:
    return {made.folder / "config": "/etc/rotator", made.secrets: "/secrets"}


def tell(figure: str) -> None:
    print(f"\n{figure}")  # noqa: T201 - figures are half of what this is run for


async def wait_until(condition: Callable[[], bool], told: Callable[[], str]) -> None:
    try:
        await until(condition, DEADLINE)
    except TimeoutError:
        pytest.fail(told())


def digests(cloud: SandboxProcess) -> set[str]:
    with cloud.control() as control:
        listed = control.get(f"/environments/{ENVIRONMENT}/connections").raise_for_status()
    return {entry["credential_sha256"] for entry in listed.json()}


def test_what_it_says_of_itself(run: Engine) -> None:
    shown = run.inspect(IMAGE)
    config = shown["Config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["rotator"]
    assert config["Cmd"] == ["run"]
    health = config.get("Healthcheck") or shown["Healthcheck"]  # docker's place, podman's
    assert health["Test"] == ["CMD", "rotator", "health"], "no shell"
    labels = config["Labels"]
    for name in ("title", "description", "licenses", "version", "revision", "created"):
        assert labels[f"org.opencontainers.image.{name}"], name


def test_what_it_adds_to_its_base(run: Engine) -> None:
    base = os.environ["ROTATOR_TEST_BASE"]
    added = run.inspect(IMAGE)["Size"] - run.inspect(base)["Size"]
    tell(f"added to the base: {added / 1e6:.1f} MB of at most {MOST_ADDED / 1e6:.0f} MB")
    assert added <= MOST_ADDED


def test_the_same_commit_gives_the_same_layers(run: Engine) -> None:
    if run.name == "docker":
        pytest.skip("docker's builder writes the time of the build into its layers")
    again = f"{IMAGE}-again"
    command = [str(ROOT / "deploy" / "build-image"), again, os.environ["ROTATOR_TEST_BASE"]]
    environment = {**os.environ, "ENGINE": run.name, "BUILD_FLAGS": "--no-cache"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert run.inspect(again)["RootFS"]["Layers"] == run.inspect(IMAGE)["RootFS"]["Layers"]


def test_the_sbom_lists_what_it_ships(run: Engine) -> None:
    python = ("--entrypoint=/opt/rotator/bin/python",)
    listed = run.run("-c", SHIPPED, options=python)
    assert listed.returncode == 0, listed.stderr
    bom = json.loads((ROOT / "dist" / "rotator.cdx.json").read_text())
    said = {f"{each['name']} {each['version']}" for each in bom["components"]}
    said.add("rotator {version}".format_map(bom["metadata"]["component"]))
    assert {normal(line) for line in said} == {normal(line) for line in listed.stdout.splitlines()}


SHIPPED = """
from importlib.metadata import distributions
for found in distributions(path=__import__("site").getsitepackages()):
    print(found.name, found.version)
"""


def normal(line: str) -> str:
    return line.lower().replace("_", "-").replace(".", "-")


def test_it_can_do_nothing_but_write_its_ledger(run: Engine) -> None:
    looked = run.run("-c", LOOK, options=("--entrypoint=/opt/rotator/bin/python",))
    assert looked.returncode == 0, looked.stderr
    seen = json.loads(looked.stdout)
    assert seen["uid"] == [USER, USER]
    assert seen["capabilities"] == [0, 0, 0]
    assert seen["no_new_privileges"] == 1
    assert seen["memory"] == [MEMORY], "the limit is in force"
    assert set(seen["refused"].values()) <= {"EROFS", "EACCES", "ENOENT"}, seen
    assert seen["ledger"] is None


@pytest.mark.parametrize("module", ["pip", "ensurepip", "uv", "pytest"])
def test_nothing_that_installs_is_left(run: Engine, module: str) -> None:
    python = ("--entrypoint=/opt/rotator/bin/python",)
    assert run.run("-m", module, "--version", options=python).returncode == 1


def test_rotate(run: Engine, installed: Deployment, cloud: SandboxProcess) -> None:
    before = digests(cloud)
    done = run.run("rotate", "-o", "json", mounts=mounts(installed), options=KEYS)
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["result"], told["failed"]) == ("succeeded", 0)
    assert told["rotated"] > 0
    assert digests(cloud) != before


def test_a_mistake_is_one_line(run: Engine, installed: Deployment) -> None:
    refused = run.run("check", mounts={installed.secrets: "/etc/rotator"}, options=KEYS)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert "/etc/rotator/rotator.yaml" in refused.stderr


async def test_the_daemon_from_its_start_to_sigterm(
    run: Engine, installed: Deployment, cloud: SandboxProcess
) -> None:
    url = f"http://{installed.document['http']['listen']}"
    started = run(*run.command("run", mounts=mounts(installed), options=("--detach", *KEYS)))
    assert started.returncode == 0, started.stderr
    container = started.stdout.strip()
    try:
        await wait_until(lambda: ready(url), lambda: run("logs", container).stderr)
        assert run("exec", container, "rotator", "health", "--ready").returncode == 0
        first = rotated(url)
        installed.secret("openai", {"api_key": "sk-canary-2"})
        await wait_until(lambda: rotated(url) > first, lambda: run("logs", container).stderr)
        used = run("exec", container, "/opt/rotator/bin/python", "-c", PEAK).stdout.strip()
        tell(f"most memory that the container had: {int(used) / 2**20:.1f} MiB of 128 MiB")

        told = time.monotonic()
        assert run("kill", "--signal=TERM", container).returncode == 0
        assert run("wait", container).stdout.strip() == "0"
        assert time.monotonic() - told < DRAINED_WITHIN
        assert "daemon.stopped" in run("logs", container).stderr
    finally:
        run("rm", "--force", container)


async def test_a_command_beside_the_daemon(
    run: Engine, installed: Deployment, cloud: SandboxProcess
) -> None:
    """`kubectl exec … -- rotator plan`, within the limit that the manifests give."""
    url = f"http://{installed.document['http']['listen']}"
    limit = (f"--memory={2 * MEMORY}", f"--memory-swap={2 * MEMORY}")
    options = ("--detach", *limit, *KEYS)
    container = run(*run.command("run", mounts=mounts(installed), options=options)).stdout.strip()
    try:
        await wait_until(lambda: ready(url), lambda: run("logs", container).stderr)
        for command in (("check", "--online"), ("plan",), ("status",), ("health",)):
            done = run("exec", container, "rotator", *command)
            assert done.returncode == 0, done.stderr
        used = run("exec", container, "/opt/rotator/bin/python", "-c", PEAK).stdout.strip()
        tell(f"with commands beside it: {int(used) / 2**20:.1f} MiB of 256 MiB")
        assert int(used) < 2 * MEMORY
    finally:
        run("rm", "--force", container)


PEAK = """
import os
paths = ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes")
print(next(open(path).read() for path in paths if os.path.exists(path)))
"""


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def rotated(url: str) -> float:
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    lines = [x for x in text.splitlines() if x.startswith("rotator_credentials_total{")]
    return sum(float(line.split()[-1]) for line in lines if 'outcome="rotated"' in line)
