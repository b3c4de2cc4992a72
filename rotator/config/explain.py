"""Turns errors of pydantic into problems in plain words, with their lines and without values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic_core import ErrorDetails

from rotator.config.fields import TAG, WORDS
from rotator.config.models import Config, RotationConfig, SecretConfig
from rotator.config.yaml import Document, Place

ENVIRONMENT = {"tracing": "OTEL_EXPORTER_OTLP_ENDPOINT"}
"""A key that people expect here → the environment variable that rotator reads instead."""
ELSEWHERE: Mapping[type[BaseModel], Mapping[str, str]] = {
    RotationConfig: dict.fromkeys(SecretConfig.model_fields, "secret"),
}
"""Section → its keys that belong one section deeper, and where."""

_MAPPING = "must be a mapping (key: value)"
_NOTHING = "has no value; write one, or leave the key out"
_LIST = "must be a list, as in [one, another]"

_MESSAGES = {
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number, without quotes or leading zeros",
    "float_type": "must be a number, without quotes",
    "bool_type": "must be true or false",
    "int_from_float": "must be a whole number",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} or less",
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "tuple_type": _LIST,
    "path_type": "must be the path of a file",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_too_long": "must have {max_length} characters at the most",
    "finite_number": "must be a number",
    "missing": "is missing",
}


def explain(document: Document, errors: Iterable[ErrorDetails]) -> None:
    """Adds a problem to the document for each error, unless the document has one there already."""
    for error in errors:
        place, message = _explained(document, error)
        if not document.knows(place):
            document.add(place, _NOTHING if place in document.empty else message)
    for place in document.empty:
        # A malformed reference such as `{sk-…}` is one problem. Its key may be a secret.
        if not any(document.knows(place[:length]) for length in range(len(place) + 1)):
            document.add(place, _NOTHING)


def _explained(document: Document, error: ErrorDetails) -> tuple[Place, str]:
    loc, kind, context = error["loc"], error["type"], error.get("ctx", {})
    tags = {part for part in loc if isinstance(part, str) and part.startswith(TAG)}
    place = tuple(part for part in loc if part not in tags)
    if kind == "extra_forbidden":
        return place, _unknown(str(place[-1]), place[:-1], tags)
    if kind == "choice":
        return _choice(document, place, context)
    if place[-1:] == ("[key]",):  # the error is about the key itself, not about its value
        place = place[:-1]
    if kind == "literal_error":
        choices = _QUOTED.findall(str(context["expected"]))
        return place, _one_of(choices, document.at(place))
    if kind == "string_type" and isinstance(document.at(place), (dict, list)):
        return place, "must be text, and is a list or a mapping"
    if kind == "string_pattern_mismatch":
        return place, WORDS[str(context["pattern"])]
    if kind in _MESSAGES:
        return place, _MESSAGES[kind].format(**context)
    # One of our own errors, in plain words already.
    return (*place, context["at"]) if "at" in context else place, error["msg"]


_QUOTED = re.compile(r"'([^']*)'")


def _choice(document: Document, place: Place, context: Mapping[str, Any]) -> tuple[Place, str]:
    """The problem of a section that is none of the kinds that it may be."""
    section = document.at(place)
    if not isinstance(section, dict):
        return place, _MAPPING
    key, choices = context["key"], context["choices"].split("|")
    if key not in section:
        return (*place, key), f"is missing; it {_one_of(choices, None)}"
    given = section[key]
    if given and given in context["later"].split("|"):
        return (*place, key), f"not supported yet: {given}; use {_listed(choices)}"
    return (*place, key), _one_of(choices, given)


def _one_of(choices: list[str], given: object) -> str:
    return f"must be {_listed(choices)}{_near(given, choices) if len(choices) > 1 else ''}"


def _listed(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _near(given: object, known: list[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1) if isinstance(given, str) else []
    return f", did you mean {near[0]}?" if near else ""


def _unknown(key: str, where: Place, tags: set[str]) -> str:
    models = _models_at(where, tags)
    if Config in models and key in ENVIRONMENT:
        return f"unknown key; set the variable {ENVIRONMENT[key]}"
    fields = sorted({name for model in models for name in model.model_fields})
    for model in models:
        if key in ELSEWHERE.get(model, {}):
            return f"unknown key; write it under {ELSEWHERE[model][key]}"
    hint = (
        _near(key.lower().replace("-", "_"), fields) or f"; the keys here are {', '.join(fields)}"
    )
    return f"unknown key{hint}"


def _models_at(where: Place, tags: set[str]) -> set[type[BaseModel]]:
    """The sections that may be at a place, found by following the types of the models."""
    models: set[type[BaseModel]] = {Config}
    for part in where:
        annotations = [
            model.model_fields[part].annotation
            for model in models
            if isinstance(part, str) and part in model.model_fields
        ]
        # A name that the user chose (of a target, say) or an index stays at the same models.
        models = set(_models_in(annotations, tags)) or models
    return models


def _models_in(annotations: Iterable[Any], tags: set[str]) -> Iterable[type[BaseModel]]:
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        elif get_origin(annotation) is Annotated:
            member, *marks = get_args(annotation)
            if all(mark.tag in tags for mark in marks if isinstance(mark, Tag)):
                yield from _models_in([member], tags)
        else:
            yield from _models_in(get_args(annotation), tags)
