"""Keeps the token that a Vault source works with: logs in, renews, replaces, gives it back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any

from rotator.backoff import Backoff
from rotator.errors import LoginDenied, SourceDenied, SourceError, SourceUnavailable
from rotator.model.events import SourceRead
from rotator.model.lease import Owner
from rotator.ports import Observer
from rotator.sources.vault_errors import Meaning, by_policy, mapping
from rotator.sources.vault_http import NoAnswer, VaultClients, VaultRefusal
from rotator.sources.vault_login import Login
from rotator.sources.vault_token import Token, seconds_of

_REPLACE_EVERY = 60.0
"""Seconds between logins that follow a refusal. A new token may have policies that the old lacks.
"""
_LOOKED_AT_EVERY = 60.0
"""Seconds. An operator may revoke a token that leases live on, and they end with it."""
_LOGIN_BACKOFF = Backoff(first=1.0, longest=300.0)
"""Between logins that are refused. Vault locks a user out after five:
https://developer.hashicorp.com/vault/docs/concepts/user-lockout
"""
_RENEW_BACKOFF = Backoff(first=10.0, longest=300.0)
_GOODBYE = 2.0
"""Seconds that giving a token back may take."""


class TokenKeeper:
    """Logs in at the first use, once for all who wait. A token never leaves memory."""

    def __init__(
        self,
        name: str,
        login: Login,
        clients: VaultClients,
        observe: Observer,
        now: Callable[[], float],
    ) -> None:
        """`now` is in seconds, and never goes back."""
        self._name = name
        self._login = login
        self._clients = clients
        self._observe = observe
        self._now = now
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._leased: set[str] = set()
        """Tokens that this process made leases with."""
        self._ended: frozenset[str] = frozenset()
        self._replaceable_from = float("-inf")
        self._renew_not_before = float("-inf")
        self._renewals_failed = 0
        """Failures in a row. The same goes for `_logins_refused`."""
        self._looked_at = float("-inf")
        self._failure: SourceError | None = None
        self._logins_refused = 0
        self._paused_until = float("-inf")

    # Using it

    def use(self) -> str:
        """A token for one request. Counts the use if its uses are limited. Raises SourceError."""
        with self._lock:
            return self._used(self._good())

    def use_for_lease(self) -> Token:
        """A token whose lease will live on: it doesn't end soon, and its uses are not limited.
        Raises SourceError."""
        with self._lock:
            token = self._uncounted()
            short = token.ends - self._now() < token.life / 2
            if token.ours and short and not token.renewable:
                token = self._token = self._logged_in()
            self._leased.add(token.value)
            return token

    def check_for_lease(self) -> None:
        """Raises SourceError if there is no token that a lease could be made with."""
        with self._lock:
            self._uncounted()

    def _uncounted(self) -> Token:
        token = self._good()
        if not token.known:
            token = self._token = self._looked_up(token)
        if token.uses is not None:
            raise SourceDenied(
                self._name,
                "",
                "its token has a limited number of uses, and leases end with the last; "
                "use one without num_uses",
            )
        return token

    def other_than(self, refused: str, *, valid: bool) -> str | None:
        """Another token after `refused` was refused; None if there is none.

        `valid` is whether a policy refuses: a token keeps the policies that it was made with.
        Raises SourceError.
        """
        with self._lock:
            configured = self._login.configured_token()
            if configured is not None:
                return self._used(self._good()) if configured != refused else None
            if self._token is None or self._token.value == refused:
                if self._now() < self._replaceable_from:
                    return None
                self._replaceable_from = self._now() + _REPLACE_EVERY
                if not valid:
                    self._mark_ended(refused)
                self._token = self._logged_in()
            return self._used(self._token)

    def _used(self, token: Token) -> str:
        if token.uses is not None:
            self._token = replace(token, uses=token.uses - 1)
        return token.value

    def _good(self) -> Token:
        """The present token if it is still good for a request, or else a new one."""
        token, configured = self._token, self._login.configured_token()
        if configured is not None:
            if token is None or token.value != configured:
                token = self._token = Token(configured)
            return token
        if token is not None and self._now() >= token.renew_at:
            token = self._renewed(token)
        spent = token is not None and token.uses is not None and token.uses <= 0
        if token is None or spent or self._now() >= token.replace_at:
            token = self._token = self._logged_in()
        return token

    # Keeping it

    def keep_alive(self) -> Owner | None:
        """Renews or replaces the token in time. Returns the owner of the leases made with it.

        Raises SourceError.
        """
        with self._lock:
            if self._token is None and not self._leased:
                return None
            # After the end of a token, its leases are gone too. A new token reports that.
            token = self._token or self._good()
            if self._login.configured_token() is not None:
                token = self._good()
                if not token.known:
                    token = self._token = self._looked_up(token)
            elif self._now() >= token.replace_at and not token.renewable:
                token = self._token = self._logged_in()
            if self._now() >= token.renew_at:
                token = self._renewed(token)
            elif token.value in self._leased and self._now() - self._looked_at > _LOOKED_AT_EVERY:
                token = self._checked(token)
            return self._owner(token)

    def _owner(self, token: Token) -> Owner:
        lasts = None if token.ends == float("inf") else max(0.0, token.ends - self._now())
        return Owner(token.accessor, lasts, None if token.renewable else lasts, self._ended)

    def _checked(self, token: Token) -> Token:
        """Checks that a token with leases still exists."""
        self._looked_at = self._now()
        try:
            self._ask(token, "get", "lookup-self")
        except VaultRefusal as refused:
            if refused.status == 403 and not by_policy(refused):
                return self._after_its_end(token)
        except NoAnswer:
            return token
        return token

    def _after_its_end(self, token: Token) -> Token:
        """The token that takes the place of one that has ended. Raises SourceError."""
        self._mark_ended(token.value)
        if not token.ours:
            raise self._invalid()
        self._token = self._logged_in()
        return self._token

    def _mark_ended(self, value: str) -> None:
        if self._token is not None and self._token.value == value and self._token.accessor:
            self._ended |= {self._token.accessor}
        self._token = None

    def _renewed(self, token: Token) -> Token:
        """The token after an attempt to renew it; unchanged if that is not possible."""
        if not token.renewable or self._now() < self._renew_not_before:
            return token
        started, result = self._now(), SourceUnavailable.result
        kept, ended = token, False
        try:
            answer = self._ask(token, "post", "renew-self", {"increment": f"{int(token.life)}s"})
            life = seconds_of((mapping(answer, "auth") or {}).get("lease_duration"))
            if life > 0:
                result, kept = "ok", token.renewed(life, self._now())
        except VaultRefusal as refused:
            if refused.status in {400, 403}:
                result, kept = LoginDenied.result, replace(token, renewable=False)
            ended = refused.status == 403 and not by_policy(refused)
        except NoAnswer:
            pass  # told as unavailable, and tried again later
        finally:
            seconds = self._now() - started
            self._observe(SourceRead(self._name, "renew_token", result, seconds))
        if ended:
            return self._after_its_end(token)
        if result == SourceUnavailable.result:
            self._renew_later(token)
        else:
            self._renewals_failed = 0
        self._token = kept
        return kept

    def _renew_later(self, token: Token) -> None:
        """Tries have to fit before its end: only a renewal saves the leases that live on it."""
        now = self._now()
        self._renewals_failed += 1
        pause = min(_RENEW_BACKOFF.pause(self._renewals_failed), (token.ends - now) / 4)
        self._renew_not_before = now + max(_RENEW_BACKOFF.first, pause)

    def _looked_up(self, token: Token) -> Token:
        """Looks up a token that somebody else made."""
        started = self._now()
        try:
            data = self._ask(token, "get", "lookup-self").get("data")
        except VaultRefusal as refused:
            if by_policy(refused):
                needed = '"read" on auth/token/lookup-self'
                raise Meaning(self._name).of_policy("", needed) from None
            if refused.status == 403:
                raise self._invalid() from None
            raise Meaning(self._name).of_lease("", refused) from None
        except NoAnswer as failure:
            raise SourceUnavailable(self._name, "", str(failure)) from None
        looked_up = token.looked_up(data if isinstance(data, dict) else {}, started)
        if looked_up is None:
            raise SourceUnavailable(self._name, "", "an answer that says nothing about its token")
        self._looked_at = started
        return looked_up

    def _invalid(self) -> LoginDenied:
        return LoginDenied(
            self._name,
            "",
            "its token is not valid (any more): it has ended, is used up or was revoked; "
            "put another in place",
        )

    def _ask(
        self, token: Token, how: str, what: str, body: dict[str, str] | None = None
    ) -> dict[str, Any]:
        path = f"/v1/auth/token/{what}"
        with self._clients.client(token.value) as client:
            send = client.adapter.get if how == "get" else client.adapter.post
            answer: dict[str, Any] = send(path, **({"json": body} if body else {}))
            return answer

    # Getting one, and giving it back

    def _logged_in(self) -> Token:
        """Logs in, once for all who wait. After a failure, nobody tries again for a while."""
        if self._failure is not None and self._now() < self._paused_until:
            # Another instance: each of the waiting threads raises its own.
            raise type(self._failure)(self._name, "", self._failure.message)
        started, result, reason = self._now(), "ok", ""
        try:
            granted = self._login.granted()
        except SourceError as error:
            result, reason = error.result, str(error)
            refused = isinstance(error, SourceDenied)
            self._logins_refused = self._logins_refused + 1 if refused else 0
            pause = _LOGIN_BACKOFF.pause(max(1, self._logins_refused))
            self._paused_until = self._now() + pause
            self._failure = error
            raise
        finally:
            seconds = self._now() - started
            self._observe(SourceRead(self._name, "login", result, seconds, reason))
        self._failure, self._logins_refused = None, 0
        self._renew_not_before, self._renewals_failed = float("-inf"), 0
        self._looked_at = started
        return Token.granted(granted, started)

    def give_back(self) -> None:
        """Revokes a token that nobody needs any more, unless leases live on it. Raises nothing."""
        ends = monotonic() + _GOODBYE
        if not self._lock.acquire(timeout=_GOODBYE):
            return  # somebody waits for a login or a renewal, whose server doesn't answer
        try:
            token, self._token = self._token, None
        finally:
            self._lock.release()
        if token is None or not token.ours or not token.service or token.value in self._leased:
            return
        try:
            left = max(0.01, ends - monotonic())
            with self._clients.client(token.value, seconds=left) as client:
                client.adapter.post("/v1/auth/token/revoke-self")
        except (VaultRefusal, NoAnswer, SourceError):
            return  # it ends by itself
