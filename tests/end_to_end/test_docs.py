"""The reference says what the sources say: codes, settings, commands, dependencies, links."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
ROOMS = ("kernel_guard", "dp", "extension/cloister_lab", "extension/src")
CODE = re.compile(r"\bCLO-[A-Z]+-[0-9]{3}\b")
VARIABLE = re.compile(r"[\"'`](CLOISTER_[A-Z_]+)[\"'`]")


def source_files() -> list[Path]:
    return [
        path
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.suffix in {".py", ".ts", ".tsx"} and "labextension" not in path.parts
    ]


def source_text() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in source_files())


def first_cells(page: Path) -> list[str]:
    """The first cell of every table row, without its code marks."""
    rows = re.findall(r"^\| (.+?) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [row.replace("`", "") for row in rows if not row.startswith("---")]


# Errors ------------------------------------------------------------------------------------------


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    in_sources = set(CODE.findall(source_text()))
    documented = [cell for cell in first_cells(REFERENCE / "errors.md") if CODE.fullmatch(cell)]
    assert in_sources - set(documented) == set(), "codes that docs/reference/errors.md lacks"
    assert set(documented) - in_sources == set(), "codes that no source has"
    assert len(documented) == len(set(documented))


def test_no_code_is_named_anywhere_else_that_does_not_exist() -> None:
    in_sources = set(CODE.findall(source_text()))
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        assert set(CODE.findall(page.read_text(encoding="utf-8"))) <= in_sources, page.name


# Settings ----------------------------------------------------------------------------------------


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    if reference is None:
        return node
    return {**schema["$defs"][reference.rpartition("/")[2]], **node}


def policy_keys(schema: dict[str, Any], node: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Every key of the policy with its description, as the reference writes it."""
    keys: dict[str, str] = {}
    for name, raw in node.get("properties", {}).items():
        child = _resolve(schema, raw)
        path = f"{prefix}{name}"
        keys[path] = child.get("description", "")
        keys |= policy_keys(schema, child, f"{path}.")
        if "items" in child:
            keys |= policy_keys(schema, _resolve(schema, child["items"]), f"{path}[].")
        if isinstance(child.get("additionalProperties"), dict):
            more = _resolve(schema, child["additionalProperties"])
            keys |= policy_keys(schema, more, f"{path}.*.")
    return keys


def test_every_policy_key_is_documented_in_the_words_of_the_schema() -> None:
    path = ROOT / "kernel_guard" / "cloister" / "core" / "policy.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    wanted = policy_keys(schema, schema)
    page = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
    section = page.partition("## The policy")[2].partition("### Rules")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (?:.+?) \| (?:.+?) \| (.+) \|$", section, re.MULTILINE)
    documented = dict(rows)
    assert documented.keys() == wanted.keys()
    own_words = {"display.public", "display.internal", "display.confidential", "display.restricted"}
    for key, description in wanted.items():
        if description and key not in own_words:
            assert documented[key] == description, key


def test_every_environment_variable_is_documented() -> None:
    in_sources = set(VARIABLE.findall(source_text()))
    cells = first_cells(REFERENCE / "configuration.md")
    assert {cell for cell in cells if re.fullmatch(r"CLOISTER_[A-Z_]+", cell)} == in_sources


# Commands ----------------------------------------------------------------------------------------


def _commands() -> dict[str, Any]:
    """Every command by its words, groups included."""
    import click

    found: dict[str, Any] = {}

    def walk(command: click.Command, words: str) -> None:
        found[words] = command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None, f"{words} {name}"
                walk(child, f"{words} {name}")

    walk(import_module("cloister.cli.main").cli, "cloister")
    return found


def _named_commands(text: str, commands: dict[str, Any]) -> set[str]:
    """The commands that a page's code names: words after ``cloister`` as far as groups go."""
    import click

    code = re.findall(r"```.*?\n(.*?)```|`([^`\n]+)`|^#+ ([^\n]*)$", text, re.DOTALL | re.MULTILINE)
    named = set()
    for line in "\n".join("\n".join(parts) for parts in code).splitlines():
        match = re.match(r"\s*(?:\$ |jupyter |\.venv/bin/)*cloister((?: +[a-z|-]+)*)", line)
        words = "cloister"
        for token in match[1].split() if match else ():
            if token.startswith("-") or not isinstance(commands.get(words), click.Group):
                break
            *others, last = token.split("|")
            named |= {f"{words} {other}" for other in others}
            words = f"{words} {last}"
            named.add(words)
    return named


def test_every_command_in_the_reference_exists() -> None:
    commands = _commands()
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        named = _named_commands(page.read_text(encoding="utf-8"), commands)
        assert sorted(named - commands.keys()) == [], page.relative_to(ROOT)


def test_every_command_is_in_the_reference() -> None:
    commands = _commands()
    named = _named_commands((REFERENCE / "cli.md").read_text(encoding="utf-8"), commands)
    wanted = {words for words, command in commands.items() if not command.hidden} - {"cloister"}
    assert sorted(wanted - named) == []


# Dependencies ------------------------------------------------------------------------------------


def _dependencies(extra: str | None) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [project["optional-dependencies"][name] for name in (extra or "").split()]
    wanted = [text for some in extras or [project["dependencies"]] for text in some]
    names = {re.split(r"[\[<>=!~; ]", text, maxsplit=1)[0].lower() for text in wanted}
    return names - {"cloister"}  # an extra that builds on another one


@pytest.mark.parametrize(
    ("heading", "extra"),
    [
        ("## Always", None),
        ("[kernel]", "kernel"),
        ("[lab]", "lab"),
        ("[dp]", "dp"),
        ("[ray]", "ray"),
        ("[timestamps]", "timestamps"),
        ("[postgres]", "postgres"),
        ("[pkcs11]`, `", "pkcs11 vault aws"),
    ],
)
def test_every_runtime_dependency_has_its_reason(heading: str, extra: str | None) -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    section = page.partition(heading)[2].partition("\n## ")[0]
    listed = set(re.findall(r"^\| ([a-z][a-z0-9-]*) \|", section, re.MULTILINE))
    assert listed == _dependencies(extra)


# Links -------------------------------------------------------------------------------------------


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = []
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("benchmarks/*.md")):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"[a-z]+:|#", target):
                path = (page.parent / target.partition("#")[0]).resolve()
                if not path.exists():
                    broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []
