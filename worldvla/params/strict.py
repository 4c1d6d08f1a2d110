"""YAML into frozen dataclasses, strictly: every wrong, unknown or missing key is named in one sentence.

``build`` makes a dataclass of a mapping and reports *all* its faults, one line each. Types are checked against the
annotations, ranges by the dataclass itself (``worldvla.params.ranges``). No value is guessed or filled in.
"""

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml

Params = TypeVar("Params")


class _Loader(yaml.SafeLoader):
    """YAML as a person means it: ``1e-5`` is a number, and a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of a node; raise for a key that stands twice."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is a list or a mapping", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key '{key.value}' stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_FLOAT = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+|[0-9]+\.[0-9]*|\.[0-9]+(?:[eE][-+]?[0-9]+)?|\.inf|\.nan)"
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^{_FLOAT}$"), list("-+0123456789."))


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ValueError: the file is missing, is not YAML, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); expected a file of 'key: value' lines") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file in UTF-8") from None
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"{path}: line {line} is not valid YAML: {error.problem}") from None
    except RecursionError:
        raise ValueError(f"{path}: lists or mappings hundreds of levels deep; expected 'key: value' lines") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: holds {_shown(value)}; expected 'key: value' lines")
    return value


def read(cls: type[Params], path: Path) -> Params:
    """Return the section of a resolved file that the dataclass is named after (``VideoMetricsParams``: ``video_metrics``).

    Raises:
        ValueError: the file or the section is missing, or its content is not what ``cls`` says.
    """
    section = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__.removesuffix("Params")).lower()
    try:
        content = read_yaml(path)
    except ValueError as error:
        raise ValueError(f"{error}. Run: dvc repro resolve") from None
    if section not in content:
        raise ValueError(f"{path}: no section '{section}'; {known(section, content)}. Run: dvc repro resolve")
    return build(cls, content[section], f"{path}: {section}")


def build(cls: type[Params], mapping: object, where: str) -> Params:
    """Return the dataclass with the values of a mapping.

    Args:
        cls: a dataclass whose fields are ``bool``, ``int``, ``float``, ``str``, ``Literal``, ``X | Y``,
            ``X | None``, ``tuple[X, ...]``, ``dict[str, X]`` or dataclasses of such fields.
        mapping: what YAML holds.
        where: file and section for messages, e.g. ``conf/mini.yaml: train``; ``params.yaml:`` for the top level.

    Raises:
        ValueError: one line per fault; each names file, key, what it got and what it expected.
    """
    if not isinstance(mapping, Mapping):
        raise ValueError(f"{where.rstrip(':')} is {_shown(mapping)}; expected 'key: value' lines")
    hints = typing.get_type_hints(cls)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(typing.cast(Any, cls))}
    faults = [
        f"{_file(where)}: unknown key '{_key(where, key)}'; {known(str(key), fields)}"
        for key in mapping
        if key not in fields
    ]
    values = {}
    for name, kind in fields.items():
        if name not in mapping:
            faults.append(f"{_file(where)}: the key '{_key(where, name)}' is missing; expected {_expected(kind)}")
            continue
        try:
            values[name] = _convert(kind, mapping[name], _inside(where, name))
        except ValueError as error:
            faults.append(str(error))
    if not faults:
        try:
            return cls(**values)
        except ValueError as error:
            faults += [_inside(where, fault) for fault in str(error).splitlines()]
    raise ValueError("\n".join(faults))


def known(name: str, choices: typing.Iterable[str]) -> str:
    """Return the hint for a name that is not among the choices: the nearest one, else all of them."""
    choices = [str(choice) for choice in choices]
    near = difflib.get_close_matches(name, choices, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(choices)}"


def _convert(kind: Any, value: object, where: str) -> Any:
    """Return the value as the annotation ``kind`` asks for; raise a ValueError that says what was expected."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return build(typing.cast(type, kind), value, where)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        for inner in arguments:
            if inner is not type(None) and _fits(inner, value):
                return _convert(inner, value, where)
    elif origin is Literal:
        if isinstance(value, str) and value in arguments:
            return value
        if isinstance(value, str):
            raise ValueError(f"{where} is '{value}'; {known(value, arguments)}")
    elif _fits(kind, value):
        if origin is tuple:
            return _all(enumerate(typing.cast(Sequence, value)), arguments[0], where, "[{}]")
        if origin is dict:
            items = typing.cast(dict, value).items()
            return dict(zip(typing.cast(dict, value), _all(items, arguments[1], where, ".{}"), strict=True))
        return float(typing.cast(float, value)) if kind is float else value
    raise ValueError(f"{where} is {_shown(value)}; expected {_expected(kind)}")


def _all(items: typing.Iterable[tuple[object, object]], kind: Any, where: str, suffix: str) -> tuple[Any, ...]:
    """Convert every value of (index, value) pairs; raise one ValueError with all faults."""
    values, faults = [], []
    for index, value in items:
        try:
            values.append(_convert(kind, value, where + suffix.format(index)))
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ValueError("\n".join(faults))
    return tuple(values)


def _fits(kind: Any, value: object) -> bool:
    """Return whether a YAML value has the outer type of the annotation; a bool is no int, an int is a float."""
    origin = typing.get_origin(kind)
    if origin is tuple:
        return isinstance(value, list | tuple)
    if origin is dict:
        return isinstance(value, dict) and all(isinstance(key, str) for key in value)
    if origin is Literal:
        return isinstance(value, str)
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind)


def _expected(kind: Any) -> str:
    """Return an annotation in words."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        inner = [_expected(argument) for argument in arguments if argument is not type(None)]
        return " or ".join(inner + ["null"] * (type(None) in arguments))
    if origin is Literal:
        return "one of " + ", ".join(arguments)
    if origin is tuple:
        return f"a list, each entry {_expected(arguments[0])}"
    if origin is dict or dataclasses.is_dataclass(kind):
        return "'key: value' lines"
    return {int: "a whole number", float: "a finite number", bool: "true or false", str: "text"}[kind]


def _shown(value: object) -> str:
    """Return a YAML value as it is shown in a message."""
    if value is None:
        return "empty (null)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text '{value}'"
    return str(value)


def _file(where: str) -> str:
    """Return the file of ``file: section``."""
    return where.split(": ")[0].rstrip(":")


def _key(where: str, name: object) -> str:
    """Return the dotted key without the file."""
    return _inside(where, str(name)).split(": ", 1)[-1]


def _inside(where: str, name: str) -> str:
    """Return ``where`` one level further in."""
    return f"{where} {name}" if where.endswith(":") else f"{where}.{name}"
