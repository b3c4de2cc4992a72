"""`rotator run`: the process that stays.

    serve (its life) ─→ wiring (puts it together) ─→ the parts:

    ticker                          when to look
    secret_watch, contact, upkeep   what a tick does
    leadership, reload              what else brings work
    runner                          runs under way
    views, health                   what HTTP shows

`watch` and `due` decide whether there is a reason to run, and touch nothing. `compose` builds the
edges of one configuration, for commands too; `snapshots` keeps those that a reload replaced for as
long as a run needs them. `ending` knows what ends the process.
"""
