"""Checks the text of a policy and says where in the file each problem is.

Imports PyYAML and jsonschema, so nothing on a kernel's start path imports this module.
"""

from __future__ import annotations

import datetime as dt
import difflib
import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import yaml
from jsonschema import Draft202012Validator

from cloister.core.providers import provider_problems
from cloister.core.recordrules import record_problems
from cloister.core.retention import retention_problems
from cloister.store.policy import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema.exceptions import ValidationError

Path: TypeAlias = tuple[str | int, ...]
Positions: TypeAlias = dict[Path, tuple[int, int]]

_MAX_NODES: Final = 50_000  # after aliases are unfolded
_MAX_DEPTH: Final = 40
_MERGE_TAG: Final = "tag:yaml.org,2002:merge"


def validate_policy_text(
    content: bytes, schema: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Parses a policy and checks it against its schema.

    Args:
        content: The file's bytes.
        schema: JSON Schema, draft 2020-12.

    Returns:
        The document and its problems in file order. The document counts only without problems.
    """
    try:
        document, positions, problems = _parse(_decode(content))
    except _NotParsedError as error:
        return {}, (error.problem,)
    if problems:
        return {}, problems
    if not isinstance(document, dict):
        message = "the file is empty" if document is None else "a policy is a mapping of settings"
        return {}, (Problem(1, 1, "", message),)
    found = [
        problem
        for error in Draft202012Validator(schema).iter_errors(document)
        for problem in _explain(error, positions)
    ]
    found += _not_finite(document, (), positions)
    found += _not_patterns(document, positions)
    if not found:
        unseen = [
            *provider_problems(document),
            *record_problems(document),
            *retention_problems(document),
        ]
        found += [_problem(positions, path, text) for path, text in unseen]
    return document, tuple(sorted(set(found), key=lambda p: (p.line, p.column, p.message)))


class _NotParsedError(Exception):
    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(line, column, "", message)


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        line = before.count(b"\n") + 1
        raise _NotParsedError(line, column, "the file is not UTF-8 text") from None


def _parse(text: str) -> tuple[Any, Positions, tuple[Problem, ...]]:
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, {}, ()
            walk = _Walk()
            walk.visit(node, ())
            if walk.problems:
                return None, {}, tuple(walk.problems)
            return _dates_as_text(loader.construct_document(node)), walk.positions, ()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise _NotParsedError(line, column, f"this is not YAML: {said}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        column = error.position - (before.rfind("\n") + 1) + 1
        message = "the file holds a character that YAML does not allow"
        raise _NotParsedError(before.count("\n") + 1, column, message) from None
    except (ValueError, TypeError, RecursionError):
        # A date that does not exist, ten thousand brackets: PyYAML raises these without a mark.
        message = "a value cannot be read; put quotes around it"
        raise _NotParsedError(1, 1, message) from None


def _dates_as_text(value: Any) -> Any:
    """Returns a document with its dates as text: it is kept as JSON, which has none."""
    if isinstance(value, dict):
        return {key: _dates_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(item) for item in value]
    is_date = isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    return value.isoformat() if is_date else value


class _Walk:
    """Notes where each part of a document stands, and what YAML itself lets pass."""

    def __init__(self) -> None:
        self.positions: Positions = {}
        self.problems: list[Problem] = []
        self._nodes = 0

    def visit(self, node: yaml.Node, path: Path) -> None:
        self._nodes += 1
        if self._nodes > _MAX_NODES or len(path) > _MAX_DEPTH:
            if not any(problem.message.startswith("too") for problem in self.problems):
                self._report(node, path, "too large or too deep once its aliases are unfolded")
            return
        self.positions.setdefault(path, _position(node))
        if isinstance(node, yaml.MappingNode):
            self._visit_mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.visit(item, (*path, index))

    def _visit_mapping(self, node: yaml.MappingNode, path: Path) -> None:
        first_line: dict[str, int] = {}
        for key, value in node.value:
            if key.tag == _MERGE_TAG:
                self._report(key, path, "merge keys (<<) are not used in policies; write it out")
                continue
            if not isinstance(key, yaml.ScalarNode):
                self._report(key, path, "a setting's name must be text")
                continue
            name = str(key.value)
            if key.tag != "tag:yaml.org,2002:str":
                self._report(key, path, f"the name {name} must be text; put quotes around it")
                continue
            if name in first_line:
                self._report(
                    key, (*path, name), f"{name} is set twice; first in line {first_line[name]}"
                )
                continue
            line, column = _position(key)
            first_line[name] = line
            self.positions[(*path, name)] = (line, column)
            self.visit(value, (*path, name))

    def _report(self, node: yaml.Node, path: Path, message: str) -> None:
        self.problems.append(Problem(*_position(node), _dotted(path), message))


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def _explain(error: ValidationError, positions: Positions) -> list[Problem]:
    path: Path = tuple(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(error.schema.get("properties", {})) if isinstance(error.schema, dict) else []
        return [
            _problem(positions, (*path, key), _unknown_key(key, known))
            for key in error.instance
            if key not in known
        ]
    if "propertyNames" in error.absolute_schema_path:
        message = f"{error.instance} is not a name of an entity type, such as US_SSN"
        return [_problem(positions, (*path, str(error.instance)), message)]
    return [_problem(positions, path, _message(error))]


def _message(error: ValidationError) -> str:  # noqa: C901, PLR0911, PLR0912 - a flat table, one line a keyword
    value: Any = error.instance
    expected: Any = error.validator_value
    match error.validator:
        case "required":
            missing = [key for key in expected if key not in value]
            return f"{', '.join(missing)} is missing"
        case "enum":
            options = [str(option) for option in expected]
            return f"{_show(value)} is not one of {', '.join(options)}{_suggest(value, options)}"
        case "const":
            return f"must be {expected}, not {_show(value)}"
        case "type":
            hint = ""
            if expected == "number" and isinstance(value, str) and _is_number(value):
                hint = "; YAML reads this as text, write it with a point, as in 1.0e-5"
            return f"must be {_type_name(expected)}, not {_show(value)}{hint}"
        case "pattern":
            return f"{_show(value)} does not have the right form ({expected})"
        case "exclusiveMinimum":
            return f"must be greater than {expected}"
        case "exclusiveMaximum":
            return f"must be less than {expected}"
        case "minimum" | "maximum":
            word = "at least" if error.validator == "minimum" else "at most"
            return f"must be {word} {expected}"
        case "anyOf":
            options = [" and ".join(option.get("required", [])) for option in expected]
            return f"{' or '.join(filter(None, options))} is missing"
        case "oneOf" if all("required" in option for option in expected):
            return f"must have one of {', '.join(option['required'][0] for option in expected)}"
        case "dependentRequired":
            missing = [key for name in value for key in expected.get(name, ()) if key not in value]
            return f"{', '.join(missing)} is missing"
        case "maxLength":
            return f"must have at most {expected} characters"
        case "minItems" | "minLength":
            return "must not be empty"
        case _:
            return error.message


def _unknown_key(key: str, known: list[str]) -> str:
    return f"there is no setting {key}{_suggest(key, known)}"


def _suggest(value: object, options: list[str]) -> str:
    close = difflib.get_close_matches(str(value).lower(), options, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _show(value: object) -> str:
    text = str(value) if isinstance(value, (str, int, float)) else f"a {_type_name_of(value)}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _type_name(name: object) -> str:
    return {
        "object": "a mapping",
        "array": "a list",
        "string": "text",
        "number": "a number",
        "integer": "a whole number",
        "boolean": "true or false",
    }.get(str(name), str(name))


def _type_name_of(value: object) -> str:
    return {dict: "mapping", list: "list", type(None): "nothing"}.get(type(value), "value")


def _not_finite(value: object, path: Path, positions: Positions) -> list[Problem]:
    """Finds ``.inf`` and ``.nan``, which pass every minimum that a JSON Schema can state."""
    if isinstance(value, float) and not math.isfinite(value):
        return [_problem(positions, path, "must be a finite number")]
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [
        problem for key, item in items for problem in _not_finite(item, (*path, key), positions)
    ]


def _not_patterns(document: dict[str, Any], positions: Positions) -> list[Problem]:
    """Finds patterns that RE2 refuses. They run on every output, so they must take linear time."""
    places: list[tuple[Path, object]] = []
    recognizers = document.get("recognizers")
    for number, item in enumerate(recognizers if isinstance(recognizers, list) else []):
        patterns = item.get("patterns") if isinstance(item, dict) else None
        for index, pattern in enumerate(patterns if isinstance(patterns, list) else []):
            if isinstance(pattern, dict):
                path: Path = ("recognizers", number, "patterns", index, "regex")
                places.append((path, pattern.get("regex")))
    if document.get("allow_list_match") == "regex":
        allowed = document.get("allow_list")
        places += [
            (("allow_list", index), entry)
            for index, entry in enumerate(allowed if isinstance(allowed, list) else [])
        ]
    return [
        _problem(positions, path, message)
        for path, pattern in places
        if isinstance(pattern, str) and (message := _pattern_problem(pattern))
    ]


def _pattern_problem(pattern: str) -> str | None:
    try:
        import re2
    except ImportError:  # neither a kernel nor a server here; whoever runs the pattern has it
        return None
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(f"(?ims){pattern}", options)
    except re2.error as error:
        reason = error.args[0] if error.args else "it is not a pattern"
        said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        if "(?=" in said or "(?!" in said or "(?<" in said:
            said = "it looks ahead or behind"
        elif "escape sequence" in said and said[-1:].isdigit():
            said = "it refers back to a group"
        return (
            f"RE2 refuses the pattern: {said}; patterns have neither look-around nor "
            "back-references, so that they take linear time on every output"
        )
    if compiled.fullmatch("") is not None:
        return "the pattern matches nothing at all as well; make it match at least one character"
    return None


def _problem(positions: Positions, path: Path, message: str) -> Problem:
    place = path
    while place and place not in positions:
        place = place[:-1]
    return Problem(*positions.get(place, (1, 1)), _dotted(path), message)
