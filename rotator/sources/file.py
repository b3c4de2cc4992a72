"""Mounted Kubernetes Secrets, and JSON or YAML files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import yaml

from rotator.config.models import FileSource
from rotator.errors import SecretInvalid, SecretMissing, SourceDenied, SourceUnavailable
from rotator.model import Secret, SecretRef
from rotator.sources.text import NotAnObject, json_object

LARGEST = 1024 * 1024
"""Bytes of one file: what Kubernetes allows a whole Secret."""
MOST_FIELDS = 256


class FileReader:
    """A path is a folder with a file for each field, or a .json, .yaml or .yml file.

    The kubelet replaces a Secret by moving the link `..data` to another folder; it is resolved
    once, and all fields are read there, so that no read mixes two versions. Elsewhere a secret
    that changed while it was read is read once more.
    """

    def __init__(self, name: str, config: FileSource) -> None:
        self._name = name
        self._root = config.root

    def close(self) -> None:
        pass

    def probe(self, ref: SecretRef) -> str:
        return self._version(ref, self._find(ref))

    def read(self, ref: SecretRef) -> Secret:
        for _ in range(2):
            place = self._find(ref)
            before = self._version(ref, place)
            fields = self._fields(ref, place)
            if self._version(ref, self._find(ref)) == before:
                return Secret(ref, before, fields)
        raise SourceUnavailable(self._name, ref.path, "it changes while it is read; try again")

    def _find(self, ref: SecretRef) -> Path:
        """The real place of a secret, which lies below the root. Raises SourceError."""
        if "\0" in ref.path or Path(ref.path).is_absolute() or ".." in Path(ref.path).parts:
            raise SourceDenied(self._name, ref.path, f"the path must stay below {self._root}")
        try:
            root = self._root.resolve(strict=True)
            place = (self._root / ref.path).resolve(strict=True)
            if place.is_dir() and (place / "..data").is_symlink():
                place = (place / "..data").resolve(strict=True)
        except FileNotFoundError:
            raise SecretMissing(
                self._name, ref.path, f"there is no such file or folder in {self._root}"
            ) from None
        except (OSError, RuntimeError) as error:
            raise self._unreadable(ref, error) from None
        if not place.is_relative_to(root):
            raise SourceDenied(self._name, ref.path, f"its link leads out of {self._root}")
        return place

    def _version(self, ref: SecretRef, place: Path) -> str:
        """From names, times and inodes. No sizes: they'd tell something of the value."""
        try:
            if place.name.startswith(".."):
                return place.name
            files = self._files(ref, place) if place.is_dir() else [place]
            marks = [file.stat() for file in files]
        except FileNotFoundError:
            raise SecretMissing(self._name, ref.path, "it disappeared while it was read") from None
        except OSError as error:
            raise self._unreadable(ref, error) from None
        newest = max((mark.st_mtime_ns for mark in marks), default=0)
        inodes = sum(mark.st_ino for mark in marks)
        return f"{newest}-{inodes:x}"

    def _fields(self, ref: SecretRef, place: Path) -> dict[str, object]:
        if place.is_dir():
            files = self._files(ref, place)
            if not files:
                raise SecretMissing(self._name, ref.path, "the folder holds no field")
            # People write files with a newline at the end, which is not part of the secret.
            return {file.name: self._text(ref, file).removesuffix("\n") for file in files}
        text = self._text(ref, place)
        if place.suffix == ".json":
            try:
                return json_object(text)
            except NotAnObject as wrong:
                raise SecretInvalid(self._name, ref.path, str(wrong)) from None
        if place.suffix in {".yaml", ".yml"}:
            return self._yaml(ref, text)
        raise SecretInvalid(
            self._name, ref.path, "name a folder with one file a field, or a .json or .yaml file"
        )

    def _yaml(self, ref: SecretRef, text: str) -> dict[str, object]:
        try:
            # All scalars are text as they stand: 00123 stays 00123.
            document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes text only
        except (yaml.YAMLError, RecursionError):
            raise SecretInvalid(self._name, ref.path, "it is not valid YAML") from None
        if not isinstance(document, dict):
            raise SecretInvalid(self._name, ref.path, "it is YAML, but no mapping with fields")
        return {str(key): value for key, value in document.items()}

    def _files(self, ref: SecretRef, folder: Path) -> list[Path]:
        files = sorted(
            file for file in folder.iterdir() if not file.name.startswith("..") and file.is_file()
        )
        if len(files) > MOST_FIELDS:
            raise SecretInvalid(
                self._name, ref.path, f"the folder holds {len(files)} files; is it the right one?"
            )
        return files

    def _text(self, ref: SecretRef, file: Path) -> str:
        try:
            content = _read(file)
            return content.decode()
        except UnicodeDecodeError:
            raise SecretInvalid(self._name, ref.path, f"{file.name} is not UTF-8 text") from None
        except FileNotFoundError:
            raise SecretMissing(self._name, ref.path, f"{file.name} disappeared") from None
        except ValueError as wrong:
            raise SecretInvalid(self._name, ref.path, f"{file.name} {wrong}") from None
        except OSError as error:
            raise self._unreadable(ref, error) from None

    def _unreadable(self, ref: SecretRef, error: Exception) -> SourceDenied | SecretInvalid:
        if isinstance(error, PermissionError):
            return SourceDenied(self._name, ref.path, "the file system doesn't let rotator read it")
        why = error.strerror if isinstance(error, OSError) else "a loop of links"
        return SecretInvalid(self._name, ref.path, f"it can't be read: {why}")


def _read(file: Path) -> bytes:
    """Raises OSError, and ValueError for what is no ordinary file of a sensible size."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is no ordinary file")
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError("is larger than 1 MiB")
    return content
