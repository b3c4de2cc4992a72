"""The places that secrets are read from, as the configuration describes them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator

from rotator.config.fields import (
    BaseUrl,
    FilePath,
    PositiveDuration,
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


class VaultToken(Section):
    method: Literal["token"]
    token: LocalReference


class VaultAppRole(Section):
    method: Literal["approle"]
    role_id: Annotated[
        Annotated[Text, tag("text")] | Annotated[LocalReference, tag("mapping")],
        Discriminator(text_or_mapping),
    ]
    """No secret by itself, so it may be written out."""
    secret_id: LocalReference
    mount: Text = "approle"


class VaultKubernetes(Section):
    method: Literal["kubernetes"]
    role: Text
    mount: Text = "kubernetes"
    token_file: FilePath = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class VaultSource(Section):
    """HashiCorp Vault and OpenBao."""

    kind: Literal["vault"]
    url: BaseUrl
    namespace: Text | None = None
    auth: Annotated[
        Annotated[VaultToken, tag("token")]
        | Annotated[VaultAppRole, tag("approle")]
        | Annotated[VaultKubernetes, tag("kubernetes")],
        chosen_by(
            "method",
            "token",
            "approle",
            "kubernetes",
            not_yet=("jwt", "userpass", "cert", "aws"),
        ),
    ]
    ca_file: FilePath | None = None
    timeout: PositiveDuration = timedelta(seconds=10)
    """Of one operation, all of it."""


class AssumeRole(Section):
    arn: RoleArn
    external_id: Text | None = None
    session_name: SessionName = "rotator"


class AwsSource(Section):
    """AWS Secrets Manager; the process's own credentials come from the usual AWS chain."""

    kind: Literal["aws-secrets-manager"]
    region: Region
    assume_role: AssumeRole | None = None
    endpoint_url: BaseUrl | None = None
    """A VPC endpoint, or an emulator on loopback."""
    timeout: PositiveDuration = timedelta(seconds=10)
    """Of one operation, all of it."""


class FileSource(Section):
    """A mounted Kubernetes Secret, or JSON and YAML files."""

    kind: Literal["file"]
    root: FilePath
    """No path of a secret leaves it."""
    timeout: PositiveDuration = timedelta(seconds=10)
    """Of one operation, all of it."""


SourceConfig = Annotated[
    Annotated[VaultSource, tag("vault")]
    | Annotated[AwsSource, tag("aws-secrets-manager")]
    | Annotated[FileSource, tag("file")],
    chosen_by("kind", "vault", "aws-secrets-manager", "file"),
]
