"""The engine of keys and values, in both versions."""

from __future__ import annotations

from typing import Any

from tests.support.vault.answers import (
    UPGRADING,
    Answered,
    envelope,
    refused,
    stamp,
    unsupported,
)
from tests.support.vault.calls import Call
from tests.support.vault.durations import SYSTEM_MAX, duration, spelled
from tests.support.vault.state import State
from tests.support.vault.things import KeySettings, Version


def version_1(vault: State, call: Call, mount: str) -> Any:
    path = call.path
    match call.method:
        case "POST" | "PUT":
            vault.kv1[mount, path] = call.sent()
            raise Answered(204)
        case "DELETE":
            vault.kv1.pop((mount, path), None)
            raise Answered(204)
        case "LIST":
            return _listed([key for known, key in vault.kv1 if known == mount], path)
        case "GET":
            data = vault.kv1.get((mount, path))
            if data is None:
                raise refused(404, [])
            hint = duration(data.get("ttl", data.get("lease", int(SYSTEM_MAX))))
            return envelope(data, lease_duration=int(hint))
        case _:
            raise unsupported()


def version_2(vault: State, call: Call, mount: str) -> Any:
    if mount in vault.upgrading:
        raise refused(400, [UPGRADING])
    part, _, path = call.path.partition("/")
    versions = vault.kv.get((mount, path), [])
    match call.method, part:
        case "GET", "data":
            return _read(vault, versions, call)
        case "POST" | "PUT", "data":
            return _write(vault, call, mount, path)
        case "DELETE", "data":
            if versions:
                versions[-1].deleted = vault.now
        case "POST" | "PUT", "delete" | "undelete" | "destroy":
            for number in call.sent()["versions"]:
                _mark(vault, versions[int(number) - 1], part)
        case "GET", "metadata":
            return _metadata(vault, mount, path, versions)
        case "LIST", "metadata":
            return _listed([key for known, key in vault.kv if known == mount], path)
        case "POST" | "PUT", "metadata":
            _set(vault, call, mount, path)
        case "DELETE", "metadata":
            vault.kv.pop((mount, path), None)
            vault.kv_settings.pop((mount, path), None)
        case _, "data" | "metadata" | "delete" | "undelete" | "destroy":
            raise unsupported()
        case _:
            tool = (
                "OpenBao CLI, use 'bao" if vault.profile == "openbao" else "Vault CLI, use 'vault"
            )
            warning = (
                "Invalid path for a versioned K/V secrets engine. See the API docs for the "
                f"appropriate API endpoints to use. If using the {tool} kv get' for this operation."
            )
            raise Answered(404, envelope(None, warnings=[warning]))
    raise Answered(204)


def _mark(vault: State, version: Version, what: str) -> None:
    version.destroyed = version.destroyed or what == "destroy"
    if what == "delete":
        version.deleted = vault.now
    elif what == "undelete":
        version.deleted = None


def _write(vault: State, call: Call, mount: str, path: str) -> Any:
    sent = call.sent()
    if not isinstance(sent.get("data"), dict):
        raise refused(400, ["no data provided"])
    wanted, current = sent.get("options", {}).get("cas"), len(vault.kv.get((mount, path), []))
    if wanted is not None and int(wanted) != current:
        raise refused(400, ["check-and-set parameter did not match the current version"])
    version = vault.put(path, sent["data"], mount)
    return envelope(_described(vault, mount, path, version, current + 1))


def _described(
    vault: State, mount: str, path: str, version: Version, number: int
) -> dict[str, Any]:
    settings = vault.kv_settings.get((mount, path), KeySettings())
    return {
        **version.metadata(),
        "version": number,
        "custom_metadata": settings.custom_metadata,
    }


def _read(vault: State, versions: list[Version], call: Call) -> Any:
    asked = call.query.get("version", "")
    if asked and not asked.lstrip("-").isdigit():
        raise refused(400, [f"Field validation failed: error converting input {asked} for field"])
    number = int(asked or 0)
    number = number if number > 0 else len(versions)
    if not 0 < number <= len(versions) or versions[number - 1].trimmed:
        raise refused(404, [])
    version = versions[number - 1]
    mount, path = next(key for key, kept in vault.kv.items() if kept is versions)
    gone = version.destroyed or (version.deleted is not None and version.deleted <= vault.now)
    metadata = _described(vault, mount, path, version, number)
    body = envelope({"data": None if gone else version.data, "metadata": metadata})
    if gone:
        raise Answered(404, body)
    return body


def _set(vault: State, call: Call, mount: str, path: str) -> None:
    sent = call.sent()
    settings = vault.kv_settings.setdefault((mount, path), KeySettings())
    settings.max_versions = int(sent.get("max_versions", settings.max_versions))
    if "delete_version_after" in sent:
        settings.delete_version_after = duration(sent["delete_version_after"])
    settings.custom_metadata = sent.get("custom_metadata", settings.custom_metadata)
    settings.updated = vault.now


def _metadata(vault: State, mount: str, path: str, versions: list[Version]) -> Any:
    settings = vault.kv_settings.get((mount, path))
    if not versions and settings is None:
        raise refused(404, [])
    settings = settings or KeySettings()
    kept = {str(number): v.metadata() for number, v in enumerate(versions, 1) if not v.trimmed}
    trimmed = len(versions) - len(kept)
    times = [moment for moment in (*(v.created for v in versions), settings.updated) if moment]
    also = {"current_metadata_version": 0, "metadata_cas_required": False}
    return envelope(
        {
            "cas_required": False,
            "created_time": stamp(min(times)),
            "current_version": len(versions),
            "custom_metadata": settings.custom_metadata,
            "delete_version_after": spelled(settings.delete_version_after),
            "max_versions": settings.max_versions,
            "oldest_version": trimmed + 1 if trimmed else 0,
            "updated_time": stamp(max(times)),
            "versions": kept,
            **(also if vault.profile == "openbao" else {}),
        }
    )


def _listed(keys: list[str], folder: str) -> Any:
    prefix = f"{folder.rstrip('/')}/" if folder.strip("/") else ""
    below = [key[len(prefix) :] for key in keys if key.startswith(prefix)]
    names = sorted({name + slash for name, slash, _ in (key.partition("/") for key in below)})
    if not names:
        raise refused(404, [])
    return envelope({"keys": names})
