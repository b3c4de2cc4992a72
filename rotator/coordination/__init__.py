"""One leader among several processes, by a Lease of Kubernetes.

    api (HTTP) ─→ election (pure: what follows from what was seen, and when) ─→ elector (the loop)
                                                                                  └─→ term

The promise: a process starts no update unless it is proved to lead at that very moment. It holds
because the two sides measure from different ends. The leader counts from when a renewal that
succeeded was *sent*, and stops at two thirds of the lease; a follower counts from when it *saw* the
last renewal, and takes over after the whole of it. No clock is compared with another's.

The promise doesn't cover clocks that stand still while others go on (a machine that is suspended),
nor a request that is already on its way. No lease does. There the resource version decides, which
every update carries.
"""
