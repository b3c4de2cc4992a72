"""One leader among several processes, by a Lease of Kubernetes.

    api (HTTP) ─→ election (pure: what follows from what was seen, and when) ─→ elector (the loop)
                                                                                  └─→ term

The promise: a process that was not proved to lead at this very moment starts no update. It holds
because the two sides measure from different ends. The leader counts from when a renewal that
succeeded was *sent*, and stops at two thirds of the lease; a follower counts from when it *saw* the
last renewal, and takes over after the whole of it. No clock is compared with another's.

Clocks that stand still while others go on (a machine that is suspended) are outside of it, as they
are for every lease; there, and for a request that is already under way, the resource version
decides, which every update carries.
"""
