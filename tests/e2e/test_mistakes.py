"""Every mistake of a user: one clear line with the place and the remedy, exit status 1.

`Deployment.rotator` fails on any traceback; here the words are looked at, and that nothing was
sent and no value shown.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import GOOD, updates
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox

__all__ = ["deployment", "sandbox"]


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=3, types=("OPENAI",), settle=0.1)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    return made


Mistake = Callable[[Deployment], None]


def wrong_key(made: Deployment) -> None:
    made.target["auth"]["api_secret"] = {"env": "PATH"}


def wrong_environment(made: Deployment) -> None:
    made.target["environment"] = "env-nowhere"


def no_such_variable(made: Deployment) -> None:
    made.target["auth"]["api_key"] = {"env": "NO_SUCH_VARIABLE"}


def no_such_secret(made: Deployment) -> None:
    made.rotation["secret"]["path"] = "nowhere"


def no_such_field(made: Deployment) -> None:
    made.rotation["credential"] = {"api-key": "api_kye"}


def empty_field(made: Deployment) -> None:
    made.secret("openai", {"api_key": ""})


def ledger_in_no_folder(made: Deployment) -> None:
    made.document["ledger"]["url"] = f"sqlite:///{made.folder}/nowhere/ledger.db"


def ledger_of_something_else(made: Deployment) -> None:
    (made.folder / "ledger.db").write_bytes(b"not a database, and longer than its header" * 100)


def target_that_nobody_answers_for(made: Deployment) -> None:
    made.target["url"] = "http://127.0.0.1:9"
    made.target["timeout"] = "1s"


def type_that_takes_something_else(made: Deployment) -> None:
    made.rotation["match"] = {"name": ["openai-*"]}
    made.rotation["credential"] = {"username": "api_key", "password": "api_key"}


MISTAKES: dict[Mistake, tuple[str, ...]] = {
    wrong_key: ("target sandbox", "401", "X-Request-Id"),
    wrong_environment: ("target sandbox", "404", "environment"),
    no_such_variable: ("targets.sandbox.auth.api_key", "NO_SUCH_VARIABLE"),
    no_such_secret: ("source mounted", "nowhere"),
    no_such_field: ("openai-001", "'api_kye'", "did you mean 'api_key'"),
    empty_field: ("openai-001", "api_key", "empty"),
    ledger_in_no_folder: ("ledger", "nowhere"),
    ledger_of_something_else: ("ledger.db",),
    type_that_takes_something_else: ("type OPENAI", "api-key"),
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
async def test_a_mistake_is_one_clear_line(
    installed: Deployment, cloud: Sandbox, mistake: Mistake
) -> None:
    mistake(installed)
    failed = await installed.rotator("rotate", "-o", "json")
    assert failed.status == 1
    said = failed.err + failed.out
    for word in MISTAKES[mistake]:
        assert word in said
    assert GOOD not in said
    assert updates(cloud) == 0


async def test_a_target_that_nobody_answers_for(installed: Deployment) -> None:
    target_that_nobody_answers_for(installed)
    failed = await installed.rotator("check", "--online")
    assert failed.status == 1
    assert "target sandbox" in failed.err


async def test_an_endpoint_that_answers_html(installed: Deployment, cloud: Sandbox) -> None:
    cloud.state.faults.order(Fault(FaultKind.HTML, times=None))
    failed = await installed.rotator("plan")
    assert failed.status == 1
    assert "HTML" in failed.err
    assert "<html" not in failed.err.lower()


async def test_a_configuration_that_is_not_there(installed: Deployment) -> None:
    failed = await installed.rotator("check", "-c", "nowhere.yaml")
    assert failed.status == 1
    assert "nowhere.yaml" in failed.err
    assert failed.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("rotate", "opnai"),
        ("connections", "sandbix"),
        ("history", "--since", "yesterday"),
        ("rotate", "--no-such-flag"),
        ("no-such-command",),
        ("plan", "-o", "yaml"),
    ],
    ids=" ".join,
)
async def test_a_slip_on_the_command_line(
    installed: Deployment, arguments: tuple[str, ...]
) -> None:
    failed = await installed.rotator(*arguments)
    assert failed.status == 1
    assert failed.err


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("run",),
        ("rotate",),
        ("plan",),
        ("check",),
        ("connections",),
        ("status",),
        ("history",),
        ("schema",),
        ("sandbox",),
        ("demo",),
    ],
    ids=" ".join,
)
async def test_help_teaches(installed: Deployment, command: tuple[str, ...]) -> None:
    shown = await installed.rotator(*command, "--help")
    assert shown.status == 0
    assert "rotator " in shown.out
    assert "Example" in shown.out or not command


async def test_a_mapping_that_the_type_cant_take_is_a_problem_of_the_file(
    installed: Deployment,
) -> None:
    installed.rotation["credential"] = {"api_key": "api_key"}
    failed = await installed.rotator("check")
    assert failed.status == 1
    assert "did you mean api-key?" in failed.err
    assert "rotator.yaml:" in failed.err
