"""Every test of this folder runs against every ledger. One more is one more line in STORES."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.ledgers import STORES, Store, WholeLedger


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made = STORES[request.param](tmp_path)
    yield made
    await made.aclose()


@pytest.fixture
async def ledger(store: Store) -> WholeLedger:
    return await store.open()
