"""Sessions of botocore. One process may have several identities, none of them from the environment.

A session reads environment and files only once; to read them again, make another.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    AssumeRoleWithWebIdentityCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError
from botocore.loaders import Loader
from botocore.session import Session

from rotator.config.models import AssumeRole, AwsKeys, AwsSource, WebIdentity
from rotator.config.references import FromEnv, FromFile, resolve_local
from rotator.errors import ValueUnavailable
from rotator.sources.aws_wire import CONNECT, READ, Wire

ATTEMPTS = 3


def open_session(config: AwsSource, wire: Wire) -> Session:
    """A session with the source's credentials. Raises errors of botocore, and ValueUnavailable.

    Where nothing is configured, botocore looks in its own order, and asks the metadata service of
    EC2 last: once, for a second (unless AWS_METADATA_SERVICE_TIMEOUT and _NUM_ATTEMPTS are set).
    """
    session = _session(config, wire, config.profile)
    if config.keys is not None:
        session.set_credentials(*_keys(config.keys))
    elif config.web_identity is not None:
        _use(session, _of_web_identity(config, config.web_identity, session))
    if config.assume_role is None:
        return session
    role = _session(config, wire, config.profile)
    _use(role, _of_role(config, config.assume_role, session))
    return role


def secrets_manager(session: Session, config: AwsSource) -> Any:
    """A client. It is thread-safe; the session is not."""
    return session.create_client("secretsmanager", endpoint_url=config.endpoint_url)


def sts(session: Session, config: AwsSource, /, **options: Any) -> Any:
    return session.create_client("sts", endpoint_url=config.sts_endpoint_url, **options)


def _session(config: AwsSource, wire: Wire, profile: str | None) -> Session:
    session = Session(profile=profile)
    session.register_component("data_loader", _models())
    session.set_config_variable("region", config.region)
    # The global STS is in another region, and some regions refuse its tokens.
    session.set_config_variable("sts_regional_endpoints", "regional")
    timeout = config.timeout.total_seconds()
    # For every client, including those that botocore makes to find credentials.
    session.set_default_client_config(
        Config(
            connect_timeout=min(CONNECT, timeout),
            read_timeout=min(READ, timeout),
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            # None leaves it to the environment. An address that is given overrides both.
            use_fips_endpoint=config.fips or None,
            use_dualstack_endpoint=config.dualstack or None,
        )
    )
    bundle = session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    session.register("before-send", wire.sender(bundle or True))
    return session


def _keys(keys: AwsKeys) -> tuple[str, str, str | None]:
    return (
        _in_header(keys.access_key_id, "keys.access_key_id"),
        _in_header(keys.secret_access_key, "keys.secret_access_key"),
        _in_header(keys.session_token, "keys.session_token") if keys.session_token else None,
    )


def _in_header(reference: FromEnv | FromFile, key: str) -> str:
    """Checks a value before a library sees it: the library's error for a bad header would show
    it."""
    value = resolve_local(reference, key)
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueUnavailable(f"{key} holds characters that none of AWS has; is it the right one?")
    return value


def _of_web_identity(config: AwsSource, given: WebIdentity, session: Session) -> Any:
    def token() -> str:
        return resolve_local(FromFile(file=given.token_file), "web_identity.token_file").strip()

    fetcher = AssumeRoleWithWebIdentityCredentialFetcher(
        client_creator=_sts_maker(config, session),
        web_identity_token_loader=token,
        role_arn=given.role_arn,
        extra_args={"RoleSessionName": given.session_name},
    )
    return DeferredRefreshableCredentials(
        fetcher.fetch_credentials, "assume-role-with-web-identity"
    )


def _of_role(config: AwsSource, role: AssumeRole, session: Session) -> Any:
    found = session.get_credentials()
    if found is None:
        raise NoCredentialsError
    arguments = {"RoleSessionName": role.session_name}
    if role.external_id is not None:
        arguments["ExternalId"] = role.external_id
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=_sts_maker(config, session),
        source_credentials=found,
        role_arn=role.arn,
        extra_args=arguments,
    )
    return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _sts_maker(config: AwsSource, session: Session) -> Callable[..., Any]:
    """What botocore's credential fetchers call to make a client. They name the service."""
    return lambda _service, **options: sts(session, config, **options)


_ASKED = {"secretsmanager", "sts", "portal.sso", "oidc", "signin"}
"""Services that rotator or botocore calls, by their names in botocore's endpoints.json."""


class _Models(Loader):  # type: ignore[misc] # botocore ships no types
    """A loader without the endpoints of 300 other services: seven of the nine MiB of a client."""

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        document, path = super().load_data_with_path(name)
        if name == "endpoints":
            for partition in document["partitions"]:
                known = partition["services"]
                partition["services"] = {key: known[key] for key in _ASKED & known.keys()}
        return document, path


@cache
def _models() -> _Models:
    """One loader for all sessions: parsing what it keeps takes 50 ms. It holds nothing of a
    source."""
    return _Models()


def _use(session: Session, credentials: Any) -> None:
    provider = _Provider(credentials)
    session.register_component("credential_provider", CredentialResolver([provider]))


class _Provider(CredentialProvider):  # type: ignore[misc] # botocore ships no types
    """Provides credentials that botocore's own chain can't be configured to make."""

    METHOD = "rotator"

    def __init__(self, credentials: Any) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Any:
        return self._credentials
