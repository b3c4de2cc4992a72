"""Mounted Kubernetes Secrets, and JSON or YAML files."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rotator.config.models import FileSource
from rotator.errors import (
    SecretInvalid,
    SecretMissing,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from rotator.model.secret import Probe, Secret, SecretRef
from rotator.sources.reader import Reader
from rotator.sources.text import NotAnObject, json_object, yaml_object

LARGEST = 1024 * 1024
"""Bytes of one file: what Kubernetes allows a whole Secret."""
MOST_FIELDS = 256

_DOCUMENTS = {".json": json_object, ".yaml": yaml_object, ".yml": yaml_object}


@dataclass(frozen=True, slots=True)
class _State:
    """A secret at one moment: its files, and what tells this moment from another one."""

    files: Mapping[str, Path]
    """Field → file. A document has one file, under the name ""."""
    version: str
    changed_at: datetime


class FileReader(Reader):
    """Reads a folder with one file for each field, or a .json, .yaml or .yml file.

    The kubelet replaces a Secret by moving the link `..data` to another folder. The link is
    resolved once, and all fields are read there, so that no read mixes two versions. Any other
    secret that changes while it is read is read once more.
    https://github.com/kubernetes/kubernetes/blob/v1.31.0/pkg/volume/util/atomic_writer.go
    """

    def __init__(self, name: str, config: FileSource) -> None:
        self._name = name
        self._root = config.root

    def close(self) -> None:
        """Nothing is held open."""

    def probe(self, ref: SecretRef) -> Probe:
        return Probe(self._look(ref).version)

    def read(self, ref: SecretRef) -> Secret:
        for _ in range(2):
            state = self._look(ref)
            outcome: dict[str, object] | SourceError
            try:
                outcome = self._fields(ref, state)
            except SourceError as error:
                outcome = error
            if self._look(ref) != state:
                continue  # whatever came of it, it was of no one version
            if isinstance(outcome, SourceError):
                raise outcome
            return Secret(ref, state.version, outcome, changed_at=state.changed_at)
        raise SourceUnavailable(self._name, ref.path, "it changes while it is read; try again")

    def _look(self, ref: SecretRef) -> _State:
        """Raises SourceError."""
        if "\0" in ref.path or Path(ref.path).is_absolute() or ".." in Path(ref.path).parts:
            raise SourceDenied(
                self._name, ref.path, f"the path must be relative to {self._root}, without .."
            )
        root = self._real_root(ref)
        try:
            try:
                return self._state(ref, root)
            except FileNotFoundError:
                return self._state(ref, root)  # it may have been replaced at this very moment
        except _Outside:
            raise SourceDenied(self._name, ref.path, f"a link leads out of {self._root}") from None
        except (FileNotFoundError, NotADirectoryError):
            raise SecretMissing(
                self._name, ref.path, f"there is no such file or folder in {self._root}"
            ) from None
        except RuntimeError:  # pathlib's, before Python 3.13
            raise SecretInvalid(self._name, ref.path, "its links lead in a circle") from None
        except UnicodeEncodeError:
            raise SecretInvalid(self._name, ref.path, "no file has such a name") from None
        except OSError as error:
            raise self._unreadable(ref, "it", error) from None

    def _state(self, ref: SecretRef, root: Path) -> _State:
        place = _below(root, root / ref.path)
        if not place.is_dir():
            return _stated({"": place})
        if (place / "..data").is_symlink():
            place = _below(root, place / "..data")
            # The kubelet makes a new folder for each version.
            made = datetime.fromtimestamp(place.stat().st_mtime, UTC)
            return _State(self._files(ref, root, place), place.name, made)
        return _stated(self._files(ref, root, place))

    def _real_root(self, ref: SecretRef) -> Path:
        try:
            root = self._root.resolve(strict=True)
            mounted = root.is_dir()
        except PermissionError as error:
            raise self._unreadable(ref, f"its root {self._root}", error) from None
        except (OSError, RuntimeError):
            mounted = False
        if not mounted:
            raise SourceUnavailable(
                self._name, ref.path, f"its root {self._root} is no folder; is the volume mounted?"
            )
        return root

    def _files(self, ref: SecretRef, root: Path, folder: Path) -> dict[str, Path]:
        files: dict[str, Path] = {}
        for entry in folder.iterdir():
            if entry.name.startswith(".."):
                continue  # the kubelet's own
            file = _below(root, entry)
            if file.is_dir():
                continue
            files[entry.name] = file
            if len(files) > MOST_FIELDS:
                raise SecretInvalid(
                    self._name,
                    ref.path,
                    f"the folder holds more than {MOST_FIELDS} files; is it the right one?",
                )
        return dict(sorted(files.items()))

    def _fields(self, ref: SecretRef, state: _State) -> dict[str, object]:
        if not state.files:
            raise SecretMissing(self._name, ref.path, "the folder holds no file, so no field")
        if "" not in state.files:
            return {
                name: _without_newline(self._text(ref, f"field {name!r}", file))
                for name, file in state.files.items()
            }
        parse = _DOCUMENTS.get(Path(ref.path).suffix.lower())
        if parse is None:
            raise SecretInvalid(
                self._name,
                ref.path,
                "name a folder with one file for each field, or a .json or .yaml file",
            )
        text = self._text(ref, "it", state.files[""])
        try:
            return parse(text.removeprefix("\ufeff"))
        except NotAnObject as wrong:
            raise SecretInvalid(self._name, ref.path, str(wrong)) from None

    def _text(self, ref: SecretRef, what: str, file: Path) -> str:
        try:
            text = _content(file).decode()
        except UnicodeDecodeError:
            raise SecretInvalid(self._name, ref.path, f"{what} is not UTF-8 text") from None
        except _Unfit as wrong:
            raise SecretInvalid(self._name, ref.path, f"{what} {wrong}") from None
        except FileNotFoundError:
            raise SecretMissing(self._name, ref.path, f"{what} disappeared") from None
        except OSError as error:
            raise self._unreadable(ref, what, error) from None
        if "\0" in text:
            raise SecretInvalid(self._name, ref.path, f"{what} is binary, not text")
        return text

    def _unreadable(self, ref: SecretRef, what: str, error: OSError) -> SourceError:
        why = f"{what} can't be read: {error.strerror}"
        if isinstance(error, PermissionError):
            return SourceDenied(
                self._name, ref.path, f"{why}; check owner and mode, rotator is uid {os.geteuid()}"
            )
        return SourceUnavailable(self._name, ref.path, why)


class _Outside(Exception):
    """A link leads out of the root."""


class _Unfit(Exception):
    """The file is not of a kind that holds a secret."""


def _below(root: Path, path: Path) -> Path:
    """The real path. Raises _Outside, OSError, and RuntimeError for links in circles."""
    real = path.resolve(strict=True)
    if not real.is_relative_to(root):
        raise _Outside
    return real


def _stated(files: Mapping[str, Path]) -> _State:
    """A version made of names, times and inodes. Sizes are left out: they would reveal
    something."""
    marks = {name: file.stat() for name, file in files.items()}
    newest = max((mark.st_mtime_ns for mark in marks.values()), default=0)
    identity = sorted((name, mark.st_mtime_ns, mark.st_ino) for name, mark in marks.items())
    version = f"{newest}-{hashlib.sha256(repr(identity).encode()).hexdigest()[:12]}"
    return _State(files, version, datetime.fromtimestamp(newest / 1e9, UTC))


def _without_newline(text: str) -> str:
    """The text without the newline that editors put at its end."""
    return text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")


def _content(file: Path) -> bytes:
    """The content. Raises OSError, and _Unfit if it is no ordinary file of a sensible size."""
    # It may have become a link since it was resolved, or a pipe that nobody writes to.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _Unfit("is no ordinary file")
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise _Unfit("is larger than 1 MiB")
    return content
