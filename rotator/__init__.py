"""rotator keeps the credentials of Confluent Cloud Flink connections fresh.

The way of the data, once, with no way back:

    config ─→ schedule ─→ run: list connections ─→ match ─→ read secrets ─→ plan ─→ roll out
                                                                                       │
                            metrics, log, page ←─ ledger ←─ verify (READY for this write)
"""

from importlib.metadata import version

__version__ = version("rotator")
