"""Requests with the token that is valid now, and what a 403 to one of them means."""

from __future__ import annotations

import time
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from rotator.backoff import Backoff
from rotator.errors import LoginDenied, SourceError, SourceUnavailable
from rotator.model.secret import SecretRef
from rotator.sources.vault_errors import Meaning, by_policy, worth_another_try
from rotator.sources.vault_http import Answer, NoAnswer, VaultClients, VaultRefusal
from rotator.sources.vault_token_keeper import TokenKeeper

_TRIES = 3
_BACKOFF = Backoff(first=0.2, longest=10.0)
_SHARE = 0.9
"""The share of the caller's timeout that may be used, so that the caller still hears the result."""


class VaultRequests:
    """Raises SourceError, except where a docstring names VaultRefusal or NoAnswer."""

    def __init__(
        self,
        name: str,
        timeout: float,
        clients: VaultClients,
        tokens: TokenKeeper,
        sleep: Callable[[float], None],
    ) -> None:
        self._name = name
        self._timeout = timeout
        self._clients = clients
        self._tokens = tokens
        self._meaning = Meaning(name)
        self._sleep = sleep

    def read(self, ref: SecretRef, mount: str, path: str, needed: str) -> Answer:
        """Reads, and tries again within the timeout."""
        ends = time.monotonic() + self._timeout * _SHARE

        def ask(token: str) -> Answer:
            seconds = ends - time.monotonic()
            with self._clients.client(token, seconds=max(0.01, seconds)) as client:
                answer: Answer = client.adapter.get(path)
                return answer

        def once() -> Answer:
            return self.with_token(ref.path, ask, needed)

        def late(state: RetryCallState) -> bool:
            return time.monotonic() + _pause(state) >= ends

        again = Retrying(
            retry=retry_if_exception(worth_another_try),
            stop=lambda state: stop_after_attempt(_TRIES)(state) or late(state),
            wait=_pause,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return again(once)
        except VaultRefusal as refused:
            raise self._meaning.of_read(ref, mount, refused) from None
        except NoAnswer as failure:
            raise SourceUnavailable(self._name, ref.path, str(failure)) from None

    def with_token(self, path: str, ask: Callable[[str], Answer], needed: str) -> Answer:
        """Asks again with a new token after a 403, where that may help.

        A 403 can mean that the token has ended or that a policy forbids it. Where it doesn't say,
        lookup-self decides. Raises VaultRefusal and NoAnswer too.
        """
        token = self._tokens.use()
        try:
            return ask(token)
        except VaultRefusal as refused:
            if refused.status != 403:
                raise
            known = by_policy(refused)
        valid = known or self._holds(token)
        fresh = self._tokens.other_than(token, valid=valid)
        if fresh is None:
            raise self._denied(path, needed, valid=valid)
        try:
            return ask(fresh)
        except VaultRefusal as refused:
            if refused.status != 403:
                raise
            raise self._denied(path, needed, valid=True) from None

    def refused(self, refusal: VaultRefusal, token: str, path: str, needed: str) -> SourceError:
        """The error for a 403 to a request that must not be repeated; the next gets a new token."""
        try:
            valid = by_policy(refusal) or self._holds(token)
            self._tokens.other_than(token, valid=valid)
        except VaultRefusal as refused:
            return self._meaning.of_lease(path, refused)
        except NoAnswer as failure:
            return SourceUnavailable(self._name, path, str(failure))
        return self._denied(path, needed, valid=valid)

    def _denied(self, path: str, needed: str, *, valid: bool) -> SourceError:
        if valid:
            return self._meaning.of_policy(path, needed)
        return LoginDenied(self._name, path, "permission denied: its token is not valid any more")

    def _holds(self, token: str) -> bool:
        try:
            with self._clients.client(token) as client:
                client.adapter.get("/v1/auth/token/lookup-self")
        except VaultRefusal as refused:
            if refused.status != 403:
                raise
            return by_policy(refused)
        return True


def _pause(state: RetryCallState) -> float:
    """As long as the server asks for, or else a little longer each time."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, VaultRefusal):
        if error.retry_after is not None:
            return error.retry_after
        if error.status == 412:
            return 1.0
    return _BACKOFF.pause(state.attempt_number)
