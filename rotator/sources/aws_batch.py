"""Many secrets in one request, where that is permitted. Each has its own answer or error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from rotator.config.models import AwsSource
from rotator.errors import PolicyDenied, SecretInvalid, SecretMissing, SourceError
from rotator.model.secret import Secret, SecretRef
from rotator.sources.aws_answers import secret_of
from rotator.sources.aws_client import Client
from rotator.sources.aws_errors import Errors, NotPermitted
from rotator.sources.aws_names import arn_of, asked_for, refused

LARGEST = 20
"""Ids in a request: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html"""
AGAIN = 3600.0
"""Seconds until something that was not permitted is tried again: policies change."""

_OWN = ""

Answers = dict[SecretRef, Secret | SourceError]


class Batches:
    """Decides which secrets are read together, and remembers which may not be. Thread-safe.

    Secrets of other accounts can't be batched, or not under all policies. Our own account number is
    in the ARN of any secret that was asked for by its name.
    """

    def __init__(self, errors: Errors, client: Client, monotonic: Callable[[], float]) -> None:
        self._errors = errors
        self._client = client
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._account = _account(errors.config)
        self._refused_until: dict[str, float] = {}
        """By account; our own has no name."""

    def groups(self, refs: Collection[SecretRef]) -> Iterable[tuple[SecretRef, ...]]:
        """The groups to read. Sends no request."""
        together: dict[str, list[SecretRef]] = {}
        for ref in dict.fromkeys(refs):
            account = self._batch_of(ref)
            if account is None:
                yield (ref,)
            else:
                together.setdefault(account, []).append(ref)
        for members in together.values():
            for start in range(0, len(members), LARGEST):
                yield tuple(members[start : start + LARGEST])

    def permitted(self, refs: Collection[SecretRef]) -> bool:
        """Whether this group may still be read together."""
        return all(self._batch_of(ref) is not None for ref in refs)

    def read(self, refs: Collection[SecretRef]) -> Answers:
        """The answers of one request. A secret that is missing in them has to be read alone. Raises
        SourceError."""
        paths = dict.fromkeys(ref.path for ref in refs)
        answers: Answers = {}
        token: str | None = None
        for _ in range(LARGEST):  # each page has at least one of them
            try:
                page = self._page(list(paths), token)
            except NotPermitted:
                self._refuse(refs)
                break
            except (PolicyDenied, SecretInvalid, SecretMissing):
                break  # it is about one of them, and doesn't tell which
            answers |= self._settled(refs, page)
            following = page.get("NextToken")
            if following in {None, "", token} or len(answers) == len(refs):
                break
            token = following
        return answers

    def alone(self, ref: SecretRef) -> None:
        """This secret can be read alone, but not with others. The same then holds for its whole
        account."""
        arn = arn_of(ref.path)
        if arn is not None and arn.account != self._account:
            self._refuse([ref])

    def forget(self) -> None:
        """Forgets what was not permitted."""
        with self._lock:
            self._refused_until.clear()

    def learn(self, path: str, arn: object) -> None:
        """Learns our own account from an answer: a name is always looked up there."""
        known = arn_of(arn) if isinstance(arn, str) and arn_of(path) is None else None
        if known is not None:
            self._account = known.account

    def _page(self, paths: list[str], token: str | None) -> dict[str, Any]:
        further = {} if token is None else {"NextToken": token}
        return self._client.ask(
            f"{paths[0]} and {len(paths) - 1} more",
            "BatchGetSecretValue",
            SecretIdList=paths,
            **further,
        )

    def _settled(self, refs: Collection[SecretRef], page: Mapping[str, Any]) -> Answers:
        answers: Answers = {}
        paths = {ref.path for ref in refs}
        for answer in page.get("SecretValues") or ():
            arn, name = str(answer.get("ARN", "")), str(answer.get("Name", ""))
            found = asked_for(paths, arn, name)
            for ref in refs:
                if ref.path in found:
                    self.learn(ref.path, arn)
                    answers[ref] = self._secret(ref, answer)
        for error in page.get("Errors") or ():
            about = refused(paths, str(error.get("SecretId", "")))
            code, text = str(error.get("ErrorCode", "")), str(error.get("Message", ""))
            for ref in refs:
                if ref.path in about and ref not in answers and self._batch_of(ref) == _OWN:
                    answers[ref] = self._errors.of_code(ref.path, "GetSecretValue", code, text)
        return answers

    def _secret(self, ref: SecretRef, answer: Mapping[str, Any]) -> Secret | SourceError:
        try:
            return secret_of(self._errors.name, ref, answer)
        except SourceError as error:
            return error

    def _batch_of(self, ref: SecretRef) -> str | None:
        """The account whose secrets it may be read together with; None: it is read alone."""
        if ref.version is not None or ref.stage not in {None, "AWSCURRENT"}:
            return None
        arn = arn_of(ref.path)
        if arn is None and ref.path.startswith("arn:"):
            return None
        if arn is not None and arn.region != self._errors.config.region:
            return None
        if arn is None or arn.account == self._account:
            account = _OWN
        elif self._account is not None:
            return None
        else:
            account = arn.account
        with self._lock:
            until = self._refused_until.get(account)
        return None if until is not None and self._monotonic() < until else account

    def _refuse(self, refs: Collection[SecretRef]) -> None:
        accounts = {self._batch_of(ref) for ref in refs} - {None}
        with self._lock:
            for account in accounts:
                if account is not None:
                    self._refused_until[account] = self._monotonic() + AGAIN


def _account(config: AwsSource) -> str | None:
    """The account of the assumed role, where one is configured."""
    role = config.assume_role.arn if config.assume_role else None
    if role is None and config.web_identity is not None:
        role = config.web_identity.role_arn
    return role.split(":")[4] if role is not None else None
