"""How the code hangs together, as far as the import contracts of pyproject.toml don't say it."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
LONGEST_MODULE = 350
"""Lines: what has more has more than one reason to change."""
CORE = ("rotator.rotation", "rotator.leases")
OF_THE_CORE = {*CORE, "rotator.model", "rotator.errors", "rotator.ports", "rotator.clock"} | {
    "rotator.backoff"
}
VENDORS = {
    "apscheduler": {"rotator.config.cron", "rotator.daemon.ticker"},
    "boto3": {"rotator.cli.demo"},  # it creates the secrets that it rotates
    "botocore": {"rotator.sources"},
    "click": {"rotator.cli", "rotator.sandbox"},
    "cron_descriptor": {"rotator.web.html.words"},
    "filelock": {"rotator.ledger.lock"},
    "htpy": {"rotator.web"},
    "httpx": {"rotator.http.httpx_light"},
    "hvac": {"rotator.sources.vault_http"},
    "moto": {"rotator.cli.demo"},
    "opentelemetry": {"rotator.observe"},
    "prometheus_client": {"rotator.observe", "rotator.web.app"},
    "pydantic": {"rotator.config", "rotator.sandbox"},
    "pydantic_core": {"rotator.config"},
    "requests": {"rotator.http.requests_light", "rotator.sources.vault_http"},
    "rich": {"rotator.cli"},
    "sqlalchemy": {"rotator.ledger"},
    "starlette": {"rotator.web", "rotator.sandbox"},
    "tenacity": {"rotator.confluent.requests", "rotator.sources.vault_requests"},
    "urllib3": {"rotator.sources"},  # comes with requests and botocore, which show its exceptions
    "uvicorn": {"rotator.web.server", "rotator.sandbox.server"},
    "websockets": {"rotator.sources.vault_events"},
    "yaml": {
        "rotator.cli.health",
        "rotator.config.yaml",
        "rotator.sandbox.command",
        "rotator.sources.text",
    },
}
"""Where each package of others is imported: the places where its exceptions are translated."""


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("rotator", include_external_packages=True)


def imports() -> Iterator[tuple[str, str]]:
    """Every import, as who imports whom."""
    for module in graph().modules:
        for imported in graph().find_modules_directly_imported_by(module):
            yield module, imported


def within(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def sources() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "rotator").rglob("*.py")):
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def test_each_vendor_is_imported_in_its_place() -> None:
    elsewhere = [
        f"{module} imports {vendor}"
        for module, vendor in imports()
        if not vendor.startswith("rotator")
        and vendor not in sys.stdlib_module_names
        and not within(module, VENDORS.get(vendor, set()))
    ]
    assert sorted(elsewhere) == []


def test_every_place_of_a_vendor_imports_it() -> None:
    """Else the table would permit more than it has to."""
    used = [(module, imported) for module, imported in imports() if imported in VENDORS]
    idle = [
        f"{place}: {vendor}"
        for vendor, places in VENDORS.items()
        for place in places
        if not any(within(module, {place}) for module, imported in used if imported == vendor)
    ]
    assert idle == []


def test_the_core_imports_nothing_but_itself_and_the_standard_library() -> None:
    reached = {
        f"{package} → {found}"
        for package in CORE
        for found in graph().find_upstream_modules(package, as_package=True)
        if found != "rotator"
        and found not in sys.stdlib_module_names
        and not within(found, OF_THE_CORE)
    }
    assert sorted(reached) == []


def test_no_module_is_too_long() -> None:
    long = [
        f"{name}: {lines} lines"
        for name, text in sources()
        if (lines := text.count("\n")) > LONGEST_MODULE
    ]
    assert long == []


def test_no_two_files_share_the_name_of_a_class() -> None:
    places = defaultdict(list)
    for name, text in sources():
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
