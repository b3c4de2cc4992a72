"""The logins of Vault and OpenBao: from a configured identity to a token.

Each login reads its files again, as they are replaced while rotator runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rotator.config.models import (
    FromEnv,
    FromFile,
    VaultAppRole,
    VaultAws,
    VaultCert,
    VaultJwt,
    VaultKubernetes,
    VaultSource,
    VaultToken,
    VaultUserpass,
)
from rotator.config.references import resolve_local
from rotator.errors import LoginDenied, SourceError, SourceUnavailable, ValueUnavailable
from rotator.sources.vault_http import Answer, NoAnswer, VaultClients, VaultRefusal

Granted = Mapping[str, Any]
"""`auth` of an answer. Its `client_token` is text that a header can hold."""

_PERMANENT = ("missing role_id", "missing password", "missing role", "missing jwt")
"""Errors that Vault answers with a 500 although trying again can't help."""
_LOOK = "check auth (mount, role, credential) and namespace"


class Login:
    """Raises LoginDenied if a person must act, and another SourceError if not."""

    def __init__(self, name: str, config: VaultSource, clients: VaultClients) -> None:
        self._name = name
        self._auth = config.auth
        self._timeout = config.timeout
        self._clients = clients
        self._unwrapped: tuple[str, str] | None = None
        """A wrapping token, and the secret_id that it held."""
        self._opening: str | None = None
        """A wrapping token that was sent to be unwrapped, and whose answer has not arrived."""

    def configured_token(self) -> str | None:
        """The token that the configuration refers to, read again each time; None if there is a
        login."""
        if isinstance(self._auth, VaultToken):
            return usable(self._name, self._value(self._auth.token, "token"))
        return None

    def granted(self) -> Granted:
        try:
            answer = self._asked()
        except VaultRefusal as refused:
            raise self._refusal(refused) from None
        except NoAnswer as failure:
            raise SourceUnavailable(self._name, "", f"login: {failure}") from None
        auth = answer.get("auth")
        granted: Granted = auth if isinstance(auth, dict) else {}
        token = granted.get("client_token")
        if granted.get("mfa_requirement") or not isinstance(token, str) or not token:
            raise LoginDenied(
                self._name, "", f"the {self._auth.method} login gave no token; does it ask for MFA?"
            )
        usable(self._name, token)
        return granted

    def _asked(self) -> Answer:
        auth = self._auth
        match auth:
            case VaultAppRole():
                role_id = auth.role_id
                if not isinstance(role_id, str):
                    role_id = self._value(role_id, "role_id")
                sent = {"role_id": role_id, "secret_id": self._secret_id(auth)}
            case VaultKubernetes():
                # The kubelet replaces it long before it ends, so it is read for each login.
                jwt = self._value(FromFile(file=auth.token_file), "token_file").strip()
                sent = {"role": auth.role, "jwt": jwt}
            case VaultJwt():
                sent = {"role": auth.role, "jwt": self._value(auth.jwt, "jwt").strip()}
            case VaultUserpass():
                sent = {"password": self._value(auth.password, "password")}
                return self._post(f"{auth.mount}/login/{quote(auth.username, safe='')}", sent)
            case VaultCert():
                sent = {"name": auth.role} if auth.role else {}
            case VaultAws():
                from rotator.sources.vault_aws import signed  # with botocore, used for this alone

                sent = signed(self._name, auth, self._timeout)
            case VaultToken():
                raise AssertionError("a token needs no login")
        return self._post(f"{auth.mount}/login", sent)

    def _post(self, path: str, sent: Mapping[str, str]) -> Answer:
        namespace = getattr(self._auth, "namespace", None)
        with self._clients.client("", namespace=namespace) as client:
            answer: Answer = client.adapter.post(f"/v1/auth/{path}", json=dict(sent))
            return answer

    # AppRole with a wrapped secret_id

    def _secret_id(self, auth: VaultAppRole) -> str:
        if auth.secret_id is not None:
            return self._value(auth.secret_id, "secret_id")
        if auth.wrapped_secret_id is None:
            raise AssertionError("one of the two is given: the configuration sees to that")
        wrapping = self._value(auth.wrapped_secret_id, "wrapped_secret_id").strip()
        usable(self._name, wrapping)
        if self._unwrapped is not None and self._unwrapped[0] == wrapping:
            return self._unwrapped[1]
        lost = self._opening == wrapping
        wanted = f"auth/{auth.mount}/role/{auth.role}/secret-id"
        with self._clients.client(wrapping, namespace=auth.namespace) as client:
            try:
                about = client.adapter.post("/v1/sys/wrapping/lookup", json={"token": wrapping})
                made_at = (about.get("data") or {}).get("creation_path")
                if made_at != wanted:
                    raise self._intercepted(f"was not made at {wanted}")
                self._opening = wrapping
                answer = client.adapter.post("/v1/sys/wrapping/unwrap")
                self._opening = None
            except VaultRefusal as refused:
                if refused.says("wrapping token is not valid"):
                    if lost:
                        raise self._lost() from None
                    raise self._intercepted("was used already, or has ended") from None
                raise
        secret_id = (answer.get("data") or {}).get("secret_id")
        if not isinstance(secret_id, str) or not secret_id:
            raise self._intercepted("holds no secret_id")
        # Keep it in memory, like the token: it can be unwrapped only once.
        self._unwrapped = (wrapping, secret_id)
        return secret_id

    def _lost(self) -> LoginDenied:
        return LoginDenied(
            self._name,
            "",
            "the wrapping token of wrapped_secret_id was opened here, and its answer was lost; put "
            "a new one in place",
        )

    def _intercepted(self, what: str) -> LoginDenied:
        return LoginDenied(
            self._name,
            "",
            f"the wrapping token of wrapped_secret_id {what}: somebody may have opened it. Treat "
            "this as a security event, and put a new one in place",
        )

    # What goes wrong

    def _refusal(self, answer: VaultRefusal) -> SourceError:
        method, status = self._auth.method, answer.status
        if status == 403 and method == "kubernetes":
            # Vault also answers this while it can't reach the API server that reviews tokens.
            return LoginDenied(
                self._name,
                "",
                f"the kubernetes login was refused (HTTP 403); {_LOOK}; or Vault does not reach "
                "the API server",
            )
        if status in {400, 401, 403, 404, 405} or answer.says(*_PERMANENT):
            return LoginDenied(
                self._name, "", f"the {method} login was refused (HTTP {status}); {_LOOK}"
            )
        if answer.says("sealed"):
            return SourceUnavailable(self._name, "", "it is sealed; unseal it")
        return SourceUnavailable(
            self._name, "", f"the {method} login was answered by HTTP {status}"
        )

    def _value(self, reference: FromEnv | FromFile, key: str) -> str:
        try:
            return resolve_local(reference, f"auth.{key}")
        except ValueUnavailable as missing:
            raise LoginDenied(self._name, "", str(missing)) from None


def usable(name: str, token: str) -> str:
    """Checks a token before a library sees it: the library's error for a bad header would show
    it."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise LoginDenied(name, "", "its token holds a character that no token has")
    return token
