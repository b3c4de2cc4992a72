from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.webhooks import Webhook, webhook_running


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with webhook_running() as running:
        yield running
