"""Telling people, by webhooks: decide what is news, write it, send it until it arrives.

    RunFinished ─→ decisions (is it news?) ─→ message ─→ courier (queue, retries) ─→ receiver (POST)

A notifier is an observer: it takes what every observer sees, and returns at once. The daemon alone
has one; `rotator rotate` tells the person who typed it.
"""
