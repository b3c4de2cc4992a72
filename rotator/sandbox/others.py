"""What somebody else does to a connection while a client updates it."""

from __future__ import annotations

from rotator.sandbox.connections import Connections
from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.seed import any_credential


def meddle(connections: Connections, name: str, fault: Fault) -> None:
    """Carry out a fault of BY_OTHERS. Raises ApiError where there is no such connection."""
    present = connections.current(name)
    credential = any_credential(present.type, fault.value)
    match fault.kind:
        case FaultKind.FOREIGN_WRITE | FaultKind.FOREIGN_WRITE_INSTEAD:
            connections.update(name, credential, None)
        case FaultKind.DELETED:
            connections.delete(name)
        case FaultKind.RECREATED:
            connections.delete(name)
            connections.create(name, present.type, present.endpoint, credential)
        case _:
            raise AssertionError(f"{fault.kind} is no fault of BY_OTHERS")
