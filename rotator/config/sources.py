"""The places that secrets are read from, as the configuration describes them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, model_validator
from pydantic_core import PydanticCustomError

from rotator.config.fields import (
    BaseUrl,
    FilePath,
    Flag,
    PositiveDuration,
    ProxyUrl,
    Region,
    RoleArn,
    Section,
    SessionName,
    Text,
    chosen_by,
    tag,
    text_or_mapping,
)
from rotator.config.references import LocalReference


class ClientCertificate(Section):
    """For TLS in both directions. Read again for each connection, so it may be replaced."""

    cert_file: FilePath
    """PEM; intermediates may follow."""
    key_file: FilePath | None = None
    """PEM, without a passphrase; default: it is in cert_file."""


class VaultLogin(Section):
    """What all logins share."""

    namespace: Text | None = None
    """The namespace of the login; default: the source's."""


class VaultToken(Section):
    """A token that somebody else has made, and may replace."""

    method: Literal["token"]
    token: LocalReference


RoleId = Annotated[
    Annotated[Text, tag("text")] | Annotated[LocalReference, tag("mapping")],
    Discriminator(text_or_mapping),
]


class VaultAppRole(VaultLogin):
    method: Literal["approle"]
    role_id: RoleId
    """Not a secret by itself, so it may be written in clear."""
    secret_id: LocalReference | None = None
    wrapped_secret_id: LocalReference | None = None
    """A wrapping token instead: it is unwrapped once, and only if it was made for this role."""
    role: Text | None = None
    """The name of the role. A wrapped secret_id is checked against it."""
    mount: Text = "approle"

    @model_validator(mode="after")
    def _one_secret_id(self) -> VaultAppRole:
        if (self.secret_id is None) == (self.wrapped_secret_id is None):
            raise PydanticCustomError(
                "secret_id", "needs one of secret_id and wrapped_secret_id, and not both"
            )
        if self.wrapped_secret_id is not None and self.role is None:
            raise PydanticCustomError(
                "role",
                "name the role, so that a wrapping token of another one is noticed",
                {"at": "role"},
            )
        return self


class VaultKubernetes(VaultLogin):
    method: Literal["kubernetes"]
    role: Text
    mount: Text = "kubernetes"
    token_file: FilePath = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class VaultJwt(VaultLogin):
    method: Literal["jwt"]
    role: Text
    jwt: LocalReference
    mount: Text = "jwt"


class VaultUserpass(VaultLogin):
    method: Literal["userpass"]
    username: Text
    password: LocalReference
    mount: Text = "userpass"


class VaultCert(VaultLogin):
    """Logs in with the source's client_certificate."""

    method: Literal["cert"]
    role: Text | None = None
    """Default: any role of the mount that the certificate fits."""
    mount: Text = "cert"


class VaultAws(VaultLogin):
    """Logs in with a signed sts:GetCallerIdentity. The identity comes from the usual AWS chain."""

    method: Literal["aws"]
    role: Text | None = None
    """Default: the name of the IAM role or user."""
    region: Region
    """The region whose STS signs. It must be the one that Vault asks."""
    server_id: Text | None = None
    """The X-Vault-AWS-IAM-Server-ID that Vault may require."""
    mount: Text = "aws"


class VaultSource(Section):
    """HashiCorp Vault and OpenBao."""

    kind: Literal["vault"]
    url: BaseUrl
    namespace: Text | None = None
    auth: Annotated[
        Annotated[VaultToken, tag("token")]
        | Annotated[VaultAppRole, tag("approle")]
        | Annotated[VaultKubernetes, tag("kubernetes")]
        | Annotated[VaultJwt, tag("jwt")]
        | Annotated[VaultUserpass, tag("userpass")]
        | Annotated[VaultCert, tag("cert")]
        | Annotated[VaultAws, tag("aws")],
        chosen_by("method", "token", "approle", "kubernetes", "jwt", "userpass", "cert", "aws"),
    ]
    ca_file: FilePath | None = None
    client_certificate: ClientCertificate | None = None
    tls_server_name: Text | None = None
    """The name in the server's certificate, if it differs from the host of url."""
    proxy: ProxyUrl | None = None
    """Default: none. HTTPS_PROXY and the like are ignored."""
    redirects: tuple[BaseUrl, ...] = ()
    """Addresses of other nodes that a standby may redirect to; the token is sent nowhere else."""
    events: Flag = False
    """Vault Enterprise: hear of changes of KV v2 at once, in addition to looking every `watch`."""
    timeout: PositiveDuration = timedelta(seconds=10)
    """Limits one operation as a whole."""

    @model_validator(mode="after")
    def _certificate_for_cert(self) -> VaultSource:
        if isinstance(self.auth, VaultCert) and self.client_certificate is None:
            raise PydanticCustomError(
                "client_certificate",
                "is missing; the cert login needs one",
                {"at": "client_certificate"},
            )
        return self


class AssumeRole(Section):
    arn: RoleArn
    external_id: Text | None = None
    session_name: SessionName = "rotator"


class AwsKeys(Section):
    """An access key, by reference. Read again when AWS refuses it."""

    access_key_id: LocalReference
    secret_access_key: LocalReference
    session_token: LocalReference | None = None


class WebIdentity(Section):
    """IRSA, given here instead of by the environment, so that a process may have several
    identities."""

    role_arn: RoleArn
    token_file: FilePath
    session_name: SessionName = "rotator"


class AwsSource(Section):
    """AWS Secrets Manager.

    Credentials come from `keys`, `profile` or `web_identity`, of which at most one may be given, or
    else from the usual AWS chain: environment, files, IRSA, EKS Pod Identity, instance metadata.
    """

    kind: Literal["aws-secrets-manager"]
    region: Region
    keys: AwsKeys | None = None
    profile: Text | None = None
    """A profile of the shared configuration files."""
    web_identity: WebIdentity | None = None
    assume_role: AssumeRole | None = None
    """Assumed with the credentials above."""
    endpoint_url: BaseUrl | None = None
    """A VPC endpoint, or an emulator on loopback."""
    sts_endpoint_url: BaseUrl | None = None
    """For assume_role and web_identity; default: the STS of the region."""
    fips: Flag = False
    dualstack: Flag = False
    timeout: PositiveDuration = timedelta(seconds=10)
    """Limits one operation as a whole."""

    @model_validator(mode="after")
    def _one_identity(self) -> AwsSource:
        given = [
            name for name in ("keys", "profile", "web_identity") if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise PydanticCustomError(
                "identity",
                "give at most one of keys, profile and web_identity",
                {"at": given[1]},
            )
        return self


class FileSource(Section):
    """A mounted Kubernetes Secret, or JSON and YAML files."""

    kind: Literal["file"]
    root: FilePath
    """No path of a secret leaves it."""
    timeout: PositiveDuration = timedelta(seconds=10)
    """Limits one operation as a whole."""


SourceConfig = Annotated[
    Annotated[VaultSource, tag("vault")]
    | Annotated[AwsSource, tag("aws-secrets-manager")]
    | Annotated[FileSource, tag("file")],
    chosen_by("kind", "vault", "aws-secrets-manager", "file"),
]
