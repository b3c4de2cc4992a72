"""An emulated Confluent Cloud (sql/v1: Flink connections and statements) on loopback.

    server ─→ gateway ─→ access, limits, faults ─→ state: connections, statements ─→ delivery
       └────→ control (/sandbox/…): the same state, for people, tests and the demo

It stands apart from the rest of rotator, so that a misunderstanding of the API in the client is
not repeated here. State, limits and faults are pure: time is an argument. Everything it holds is
in memory, and is gone when it ends.
"""
