"""Fields of a configuration set by a YAML file or by hand, checked, and what is wrong with them in words."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from realnet.errors import UserError

C = TypeVar("C", bound=BaseModel)
# YAML's own mark of a document's end.
_END = "..."


def first_problem(error: Exception) -> str:
    """The first thing wrong, as ``field: what`` of pydantic, in words a user can act on."""
    if not isinstance(error, ValidationError):
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return str(reason).splitlines()[0]
    details = error.errors()[0]
    place = ".".join(str(part) for part in details["loc"])
    if details["type"] == "extra_forbidden":
        return f"there is no field {place}"
    message = details["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """What lies deepest in a tree of fields, each with its path as ``training.steps``, after ``prefix``."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@contextmanager
def reading(path: Path, remedy: str, how: str = "is damaged", also: type[Exception] = OSError) -> Iterator[None]:
    """While ``path`` is read: a UserError that says ``how`` it is, what is wrong first, and the ``remedy``.

    ``also`` is what else readers of its kind raise.
    """
    try:
        yield
    except (also, OSError, ValueError, KeyError, TypeError, RuntimeError, yaml.YAMLError) as error:
        raise UserError(f"{path} {how} ({first_problem(error)}); {remedy}.") from error


def as_yaml(config: BaseModel) -> str:
    """``config`` as YAML with a mark at its end: half of the text would be a configuration, too, of other values."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, explicit_end=True)


def from_yaml(kind: type[C], text: str) -> C:
    """What :func:`as_yaml` made of a configuration of that ``kind``; ValueError where it is wrong or lacks its end."""
    config = kind.model_validate(yaml.safe_load(text))
    if not text.rstrip().endswith(_END):
        raise ValueError("its end is missing: it was copied in part")
    return config


def override(config: C, assignments: list[str], file: Path | None = None) -> C:
    """``config`` with the fields of a YAML file, then ``path=value`` assignments, replaced and validated.

    Values as in ``model.rrs.retention=0.25`` are read as YAML; ``file`` is any part of a ``config.yaml``. UserError
    naming the field that is unknown or of the wrong type.
    """
    tree: dict[str, Any] = config.model_dump(mode="json")
    if file is not None:
        _merge(tree, _read_yaml(file), "")
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator or not path.strip():
            raise UserError(f"--set takes FIELD=VALUE, such as model.rrs.retention=0.25, not {assignment!r}.")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f"--set {path}: {text!r} is no YAML value.") from error
        if isinstance(value, int | float) and ":" in text:
            value = text.strip()  # YAML reads 1:30 as ninety
        for part in reversed(path.strip().split(".")):
            value = {part: value}
        _merge(tree, value, "")
    try:
        return type(config).model_validate(tree)
    except ValidationError as error:
        raise UserError(f"The configuration is wrong: {first_problem(error)}.") from error


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{file} cannot be read as a YAML configuration: {str(error).splitlines()[0]}.") from error
    if not isinstance(loaded, dict):
        raise UserError(f"{file} holds no table of fields; write it like the config.yaml of a run.")
    return loaded


def _merge(tree: dict[str, Any], changes: dict[str, Any], prefix: str) -> None:
    for name, value in changes.items():
        path = f"{prefix}{name}"
        if name not in tree:
            known = ", ".join(tree)
            raise UserError(f"The configuration has no field {path}; {prefix or 'the top '}level has: {known}.")
        if isinstance(tree[name], dict):
            if not isinstance(value, dict):
                raise UserError(f"{path} is a group of fields ({', '.join(tree[name])}); set one of them.")
            _merge(tree[name], value, f"{path}.")
        else:
            tree[name] = value
