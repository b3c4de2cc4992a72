"""A file → Config, or every problem of it at once, each with its line and a remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rotator.config.models import BasicAuth, BearerAuth, Config
from rotator.config.yaml import Document, Place, parse
from rotator.errors import ConfigurationError

LATER = frozenset(
    {"coordination", "lease", "max_age", "notify", "on_unknown", "revoke_after", "stage", "tracing"}
)
"""Words of later versions: not typing errors, so no guess of what was meant."""


def load(path: Path) -> Config:
    """Raises ConfigurationError with all problems, in the order of their lines."""
    document = parse(path)
    config: Config | None = None
    try:
        config = Config.model_validate(document.data)
    except ValidationError as error:
        # No input: a value that stands in the wrong place may be a secret.
        for problem in error.errors(include_input=False, include_url=False):
            _translate(document, problem)
    _check_names(document)
    if document.problems or config is None:
        raise ConfigurationError(tuple(sorted(set(document.problems))))
    return config


# pydantic's words → ours

_MESSAGES = {
    "string_type": "must be text; put a number in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "literal_error": "must be one of {expected}",
    "union_tag_invalid": "must have one of {expected_tags} as its {discriminator}",
    "union_tag_not_found": "{discriminator} is missing",
    "model_type": "must be a mapping (key: value)",
    "dict_type": "must be a mapping (key: value)",
    "mapping_type": "must be a mapping (key: value)",
    "model_attributes_type": "must be a mapping (key: value)",
    "path_type": "must be the path of a file",
    "tuple_type": "must be a list: [one, another]",
    "list_type": "must be a list: [one, another]",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must look like {pattern}",
}


def _translate(document: Document, problem: ErrorDetails) -> None:
    kind = problem["type"]
    place, tags = _place(document.data, problem["loc"])
    if kind == "extra_forbidden":
        document.add(place, _unknown(str(place[-1]), place[:-1], tags))
    elif kind == "missing":
        missing = str(problem["loc"][-1])
        document.add(place, f"{missing} is missing")
    elif kind in _MESSAGES:
        document.add(place, _MESSAGES[kind].format(**problem.get("ctx", {})))
    else:
        document.add(place, problem["msg"].removeprefix("Value error, "))


def _place(data: Any, loc: Iterable[int | str]) -> tuple[Place, tuple[str, ...]]:
    """Where in the file an error is, and what pydantic's loc holds besides: the tags of unions."""
    place: list[int | str] = []
    tags: list[str] = []
    for part in loc:
        in_mapping = isinstance(data, dict) and part in data
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if in_mapping or in_list:
            place.append(part)
            data = data[part]
        else:
            tags.append(str(part))
    return tuple(place), tuple(tags)


def _unknown(key: str, where: Place, tags: tuple[str, ...]) -> str:
    if key in LATER:
        return f"not supported yet: {key}"
    fields = sorted(_fields_at(Config, where, tags))
    near = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
    if near:
        return f"unknown key, did you mean {near[0]}?"
    return f"unknown key; there are {', '.join(fields)}" if fields else "unknown key"


def _fields_at(model: type[BaseModel], where: Place, tags: tuple[str, ...]) -> set[str]:
    """The keys that may stand at a place, found along the types of the models."""
    models: set[type[BaseModel]] = {model}
    for part in where:
        annotations = [
            found.model_fields[part].annotation
            for found in models
            if isinstance(part, str)
            if part in found.model_fields
        ]
        # A name that the user chose (of a target, say) or an index stays at the same models.
        models = set(_models_in(annotations)) or models
    chosen = [found for found in models if _tag_of(found) in tags] or list(models)
    return {name for found in chosen for name in found.model_fields}


def _models_in(annotations: Iterable[Any]) -> Iterable[type[BaseModel]]:
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        else:
            yield from _models_in(get_args(annotation))


def _tag_of(model: type[BaseModel]) -> str | None:
    """What pydantic's loc calls this model as a member of a union."""
    for name in ("kind", "method"):
        field = model.model_fields.get(name)
        if field is not None:
            return str(get_args(field.annotation)[0])
    return {BasicAuth: "basic", BearerAuth: "bearer"}.get(model)


# What no single section can know


def _check_names(document: Document) -> None:
    """References between sections, as far as they have the shape of any."""
    data = document.data
    targets, sources = _section(data, "targets"), _section(data, "sources")
    for name, rotation in _section(data, "rotations").items():
        if not isinstance(rotation, dict):
            continue
        given = rotation.get("targets")
        listed = given if isinstance(given, list) else []
        for index, target in enumerate(listed):
            place: Place = ("rotations", name, "targets", index)
            _must_exist(document, place, "target", target, targets)
            if target in listed[:index]:
                document.add(place, f"{target} is listed twice")
    for secret, used in _secrets(data, ()):
        source = used.get("source")
        if not isinstance(source, str):
            continue
        _must_exist(document, (*secret, "source"), "source", source, sources)
        kind = _section(sources, source).get("kind", "vault")
        for key in ("engine", "mount"):
            if key in used and kind != "vault":
                document.add((*secret, key), f"only a vault source has {key}; {source} is {kind}")


def _section(data: Any, name: str) -> dict[str, Any]:
    section = data.get(name)
    return section if isinstance(section, dict) else {}


def _must_exist(
    document: Document, place: Place, kind: str, name: object, known: Mapping[str, Any]
) -> None:
    if not isinstance(name, str) or name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
    document.add(place, f"no {kind} has this name; {hint}")


def _secrets(data: Any, place: Place) -> Iterable[tuple[Place, dict[str, Any]]]:
    """Every mapping under a key `secret`."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key == "secret" and isinstance(value, dict):
                yield (*place, key), value
            yield from _secrets(value, (*place, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _secrets(value, (*place, index))
