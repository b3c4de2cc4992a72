"""The least policies that a configuration needs at its sources. It asks no source.

Vault: https://developer.hashicorp.com/vault/docs/concepts/policies
AWS: https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_examples.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from rotator.config.engines import makes
from rotator.config.models import AwsSource, Config, VaultSource
from rotator.config.references import secret_references

_MOUNTS = {"database": "database", "aws": "aws"}
_PLACEHOLDER = re.compile(r"\{[a-z]+\}")
_CURRENT = "AWSCURRENT"
_SUFFIX = "-??????"
"""What Secrets Manager appends to a name in an ARN."""


@dataclass(frozen=True, slots=True)
class Policy:
    source: str
    kind: Literal["vault", "aws-secrets-manager", "aws-assume-role"]
    notes: tuple[str, ...]
    policy: str | dict[str, Any]
    """HCL, or an IAM policy document."""

    @property
    def text(self) -> str:
        heading = "".join(f"# {note}\n" for note in self.notes)
        body = self.policy if isinstance(self.policy, str) else json.dumps(self.policy, indent=2)
        return heading + body


@dataclass(frozen=True, slots=True)
class _Use:
    """One secret as the configuration writes it, and who needs it."""

    by: str
    path: str
    engine: str | None = None
    mount: str | None = None
    version: str | None = None
    stage: str | None = None
    watched: bool = False
    leased: bool = False


@dataclass(slots=True)
class _Rules:
    """Paths with their capabilities, and the reasons for them."""

    found: dict[str, tuple[set[str], dict[str, None]]] = field(default_factory=dict)

    def add(self, path: str, capability: str, reason: str) -> None:
        capabilities, reasons = self.found.setdefault(path, (set(), {}))
        capabilities.add(capability)
        reasons[reason] = None

    def hcl(self) -> str:
        return "\n\n".join(
            "".join(f"# {reason}\n" for reason in reasons)
            + f"path {_quoted(path)} {{\n  capabilities = {_list(sorted(capabilities))}\n}}"
            for path, (capabilities, reasons) in sorted(self.found.items())
        )


def policies(config: Config) -> list[Policy]:
    """The policies of the sources that are used, in the order of the configuration.

    Files need none.
    """
    made: list[Policy] = []
    for name, source in config.sources.items():
        uses = list(dict.fromkeys(_uses(config, name)))
        if not uses:
            continue
        if isinstance(source, VaultSource):
            made.append(_vault(name, source, uses))
        elif isinstance(source, AwsSource):
            made.append(_aws(name, source, uses))
            if source.assume_role is not None:
                made.append(_assume(name, source.assume_role.arn))
    return made


def _uses(config: Config, source: str) -> Iterator[_Use]:
    for name, rule in config.rotations.items():
        secret = rule.secret
        if secret.source == source:
            yield _Use(
                by=f"rotation {name}",
                path=secret.path,
                engine=secret.engine,
                mount=secret.mount,
                version=secret.version,
                stage=secret.stage,
                watched=rule.watch is not None,
                leased=secret.dynamic is not None,
            )
    for reference in secret_references(config):
        place = reference.secret
        if place.source == source:
            yield _Use("a setting", place.path, place.engine, place.mount, place.version)


# Vault


def _vault(name: str, source: VaultSource, uses: Iterable[_Use]) -> Policy:
    rules = _Rules()
    for use in uses:
        _rules_of(rules, use)
        if source.events and use.watched and use.engine in {None, "kv-v2"}:
            mount = (use.mount or "kv").strip("/")
            path = f"{mount}/data/{_glob(use.path)}"
            rules.add(path, "list", f"{use.by}: events")
            rules.add(path, "subscribe", f"{use.by}: events")
    if source.events:
        rules.add("sys/events/subscribe/kv*", "read", "events")
    where = f"namespace {source.namespace}" if source.namespace else "the root namespace"
    notes = (
        f"Source {name}: a policy of Vault and OpenBao, for {where}.",
        "The default policy goes with it: a token looks at, renews and gives back itself, and",
        "renews leases.",
    )
    return Policy(name, "vault", notes, rules.hcl())


def _rules_of(rules: _Rules, use: _Use) -> None:
    mount = (use.mount or _MOUNTS.get(use.engine or "", "kv")).strip("/")
    path = _glob(use.path)
    if use.engine in {None, "kv-v2"}:
        rules.add(f"{mount}/data/{path}", "read", use.by)
        if use.watched:
            rules.add(f"{mount}/metadata/{path}", "read", f"{use.by}: to look without the value")
    if use.engine is None:
        rules.add(f"{mount}/{path}", "read", f"{use.by}: if the mount is KV v1; better set engine")
    elif use.engine != "kv-v2":
        rules.add(f"{mount}/{path}", "read", use.by)
    if use.leased or makes(use.engine, use.path):
        rules.add("sys/leases/revoke", "update", f"{use.by}: leases that nobody needs any more")


def _glob(path: str) -> str:
    """A path with placeholders, as a glob of Vault's policies.

    There, `+` is one whole segment, and `*` stands only at the very end and matches across
    segments. So `app-{connection}` becomes `+`, and at the end of the path `app-*`.
    """
    *firsts, last = path.strip("/").split("/")
    parts = ["+" if _PLACEHOLDER.search(part) else part for part in firsts]
    opened = _PLACEHOLDER.search(last)
    if opened is None:
        parts.append(last)
    elif opened.start() > 0 and opened.end() == len(last):
        parts.append(last[: opened.start()] + "*")
    else:
        parts.append("+")
    return "/".join(parts)


def _quoted(text: str) -> str:
    """A string of HCL: with JSON's escapes, and without templates."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def _list(words: Iterable[str]) -> str:
    return "[" + ", ".join(_quoted(word) for word in words) + "]"


# AWS


def _aws(name: str, source: AwsSource, uses: list[_Use]) -> Policy:
    partition = _partition(source.region)
    resources = sorted({_arn(use.path, source.region, partition) for use in uses})
    watched = sorted({_arn(u.path, source.region, partition) for u in uses if u.watched})
    statements = [_statement("Read", ["secretsmanager:GetSecretValue"], resources)]
    batched = [use for use in uses if use.version is None and use.stage in {None, _CURRENT}]
    many = len(batched) > 1 or any(_PLACEHOLDER.search(use.path) for use in batched)
    stages = sorted({use.stage or _CURRENT for use in uses if use.version is None})
    if stages and not many and not any(use.version for use in uses):
        # A batch names no stage, and this condition would refuse it.
        statements[0]["Condition"] = {
            "ForAnyValue:StringEquals": {"secretsmanager:VersionStage": stages}
        }
    if watched:
        statements.append(_statement("Look", ["secretsmanager:DescribeSecret"], watched))
    if many:
        statements.append(_statement("ReadMany", ["secretsmanager:BatchGetSecretValue"], "*"))
    decrypt = _statement("Decrypt", ["kms:Decrypt"], f"arn:{partition}:kms:{source.region}:*:key/*")
    via = f"secretsmanager.{source.region}.{_domain(partition)}"
    decrypt["Condition"] = {"StringEquals": {"kms:ViaService": via}}
    statements.append(decrypt)
    identity = source.assume_role.arn if source.assume_role else "the identity of rotator"
    notes = (
        f"Source {name}: an IAM policy for {identity}.",
        *(["ReadMany can't be limited to resources; Read limits what it may read."] * many),
        "Decrypt is needed only for secrets with a key of your own: name it instead of key/*.",
    )
    return Policy(name, "aws-secrets-manager", notes, _document(statements))


def _assume(name: str, role: str) -> Policy:
    notes = (f"Source {name}: an IAM policy for the identity that takes the role.",)
    statement = _statement("TakeTheRole", ["sts:AssumeRole"], [role])
    return Policy(name, "aws-assume-role", notes, _document([statement]))


def _document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(sid: str, actions: list[str], resource: list[str] | str) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}


def _arn(path: str, region: str, partition: str) -> str:
    opened = _PLACEHOLDER.sub("*", path)
    if opened.startswith("arn:"):
        whole = re.search(r"-[A-Za-z0-9]{6}$", opened) is not None
        return opened if whole else opened + _SUFFIX
    return f"arn:{partition}:secretsmanager:{region}:*:secret:{opened}{_SUFFIX}"


def _partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _domain(partition: str) -> str:
    return "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
