"""Tells people of failures, by webhooks: decides what is news, writes it, sends it until it
arrives.

    RunFinished ─→ decisions (is it news?) ─→ message ─→ courier (queue, retries) ─→ receiver (POST)

A notifier is an observer: it gets the same events as every observer, and returns at once. Only the
daemon has one; `rotator rotate` talks to the person who typed it.
"""
