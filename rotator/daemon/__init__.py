"""`rotator run`: the process that stays.

    serve ─→ duties (what ticks, hints and a term bring about) ─→ runner (runs under way)
      └────→ state (what HTTP shows of it), health (livez and readyz go by it)

`schedule` says when to look; `watch` and `due` decide whether that is a reason to run;
`snapshots` keep what a reload replaces, for as long as a run needs it; `ending` knows what ends
the process.
"""
