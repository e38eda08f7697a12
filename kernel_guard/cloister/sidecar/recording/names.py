"""Which names a cell uses and defines, read from its text outside the kernel. Pure.

The text is parsed, never run. What is read so is what the code *says*: names that a string holds
for ``exec``, or that a library sets by itself, are not seen, and both branches of an ``if`` count
as taken. So what a cell uses is rather too much than too little. Code of another language has no
names.
"""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import dataclass, field
from typing import Final

MOST_CODE_CHARS: Final = 20_000  # parsed in tens of milliseconds, while the kernel works
MOST_NAMES: Final = 200
_MOST_MENTIONED: Final = 2_000
_LONGEST: Final = 128
_BUILTIN: Final = frozenset(dir(builtins))
# Cell magics whose text below the first line is Python that runs in the kernel's own namespace.
_PYTHON_CELLS: Final = frozenset({"time", "timeit", "capture", "prun"})
_ASSIGNED_MAGIC: Final = re.compile(r"^(\s*[\w.,\s\[\]'\"]+=\s*)[%!].*$")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one cell.

    Attributes:
        used: Names that it reads before it sets them itself, builtins left out.
        defined: Names that it sets or changes.
        removed: Names that it deletes.
        imported: Names among ``defined`` that an import sets: programs, no data.
        within: For each function or class that it defines, the names which that needs later.
        mentioned: Attributes and short texts in it: some of them may be columns.
    """

    used: tuple[str, ...] = ()
    defined: tuple[str, ...] = ()
    removed: frozenset[str] = frozenset()
    imported: frozenset[str] = frozenset()
    within: dict[str, frozenset[str]] = field(default_factory=dict)
    mentioned: frozenset[str] = frozenset()


def names_of(code: str) -> Names | None:
    """Returns the names of a cell, ``None`` where it cannot be read as Python."""
    if len(code) > MOST_CODE_CHARS or "\0" in code:
        return None
    text = _without_magics(code)
    if text is None:
        return None
    try:
        walk = _Walk()
        walk.statements(ast.parse(text).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return Names(
        tuple(walk.used)[:MOST_NAMES],
        tuple(walk.defined)[:MOST_NAMES],
        frozenset(walk.removed),
        frozenset(walk.imported),
        walk.within,
        frozenset(walk.mentioned),
    )


def _without_magics(code: str) -> str | None:
    """Returns the Python of a cell of IPython, line for line; ``None`` where it is another's."""
    lines = code.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%"):
        if first[2:].split(" ")[0].strip() not in _PYTHON_CELLS:
            return None
        lines[lines.index(first)] = ""
    kept = []
    for line in lines:
        stripped = line.strip()
        if stripped.startswith(("%", "!", "?")) or stripped.endswith("?"):
            kept.append(line[: len(line) - len(line.lstrip())] + "pass")
        else:
            kept.append(_ASSIGNED_MAGIC.sub(r"\1None", line))
    return "\n".join(kept)


class _Walk(ast.NodeVisitor):
    """Follows the statements of one scope in their order."""

    def __init__(self) -> None:
        self.used: dict[str, None] = {}
        self.defined: dict[str, None] = {}
        self.removed: set[str] = set()
        self.imported: set[str] = set()
        self.within: dict[str, frozenset[str]] = {}
        self.mentioned: set[str] = set()
        self._bound: set[str] = set()  # set by this cell on every way to here

    def statements(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.visit(statement)

    # --- names ---

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._use(node.id)
        elif isinstance(node.ctx, ast.Store):
            self._define(node.id)
        else:
            self._use(node.id)
            self.removed.add(node.id)
            self._bound.discard(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._mention(node.attr)
        self.visit(node.value)
        if not isinstance(node.ctx, ast.Load):
            self._change(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        self.visit(node.slice)
        if not isinstance(node.ctx, ast.Load):
            self._change(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._mention(node.value)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg:
            self._mention(node.arg)
        self.visit(node.value)

    # --- statements whose parts run in another order than they are written in ---

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self._use(node.target.id)
        self.visit(node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.visit(node.target)

    def visit_Expr(self, node: ast.Expr) -> None:
        self.visit(node.value)
        call = node.value
        # A call whose result nobody keeps is made for what it changes: `df.dropna(inplace=True)`.
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            self._change(call.func.value)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self.visit(node.target)
        self.statements([*node.body, *node.orelse])

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self.visit_For(node)

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._ways([node.body, node.orelse])

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._ways([node.body, node.orelse])

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        before, after = set(self._bound), []
        for case in node.cases:
            self._bound = set(before)
            for part in ast.walk(case.pattern):
                name = getattr(part, "name", None) or getattr(part, "rest", None)
                if isinstance(name, str):
                    self._define(name)
            if case.guard is not None:
                self.visit(case.guard)
            self.statements(case.body)
            after.append(self._bound)
        self._bound = before | set.intersection(*after) if after else before

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        before = set(self._bound)
        if node.name:
            self._bound.add(node.name)  # gone again behind the block
        self.statements(node.body)
        self._bound &= before

    # --- scopes of their own ---

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
            if part is not None:
                self.visit(part)
        self._scope(node.name, node.body, node.args)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases, *(k.value for k in node.keywords)):
            self.visit(part)
        self._scope(node.name, node.body, None)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._inner([ast.Expr(node.body)], _arguments(node.args))

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> None:
        self._comprehension(node.generators, [node.elt])

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node.generators, [node.elt])

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node.generators, [node.elt])

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node.generators, [node.key, node.value])

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name != "*":
                name = alias.asname or alias.name.partition(".")[0]
                self._define(name)
                self.imported.add(name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.visit_Import(node)

    # --- what it means ---

    def _use(self, name: str) -> None:
        if name not in self._bound and name not in _BUILTIN:
            self.used[name] = None
        for inner in self.within.get(name, ()):
            if inner not in self._bound:
                self.used[inner] = None

    def _define(self, name: str) -> None:
        self.defined[name] = None
        self.removed.discard(name)
        self.imported.discard(name)
        self._bound.add(name)

    def _change(self, target: ast.expr) -> None:
        """Notes that the object behind a name was changed: it is used, and another one now."""
        while isinstance(target, ast.Attribute | ast.Subscript | ast.Call):
            target = target.func if isinstance(target, ast.Call) else target.value
        if isinstance(target, ast.Name) and target.id not in _BUILTIN:
            self._use(target.id)
            self.defined[target.id] = None

    def _mention(self, text: str) -> None:
        if 0 < len(text) <= _LONGEST and len(self.mentioned) < _MOST_MENTIONED:
            self.mentioned.add(text)

    def _ways(self, ways: list[list[ast.stmt]]) -> None:
        before, after = set(self._bound), []
        for way in ways:
            self._bound = set(before)
            self.statements(way)
            after.append(self._bound)
        self._bound = set.intersection(*after)

    def _comprehension(self, generators: list[ast.comprehension], parts: list[ast.expr]) -> None:
        before = set(self._bound)
        for generator in generators:
            self.visit(generator.iter)
            self._bound |= {n.id for n in ast.walk(generator.target) if isinstance(n, ast.Name)}
            for condition in generator.ifs:
                self.visit(condition)
        for part in parts:
            self.visit(part)
        self._bound = before

    def _scope(self, name: str, body: list[ast.stmt], arguments: ast.arguments | None) -> None:
        inner = _Walk()
        inner._bound = _arguments(arguments) if arguments else set()
        inner.statements(body)
        outside = _said_global(body)
        local = set(inner.defined) - outside
        needed = frozenset(n for n in inner.used if n not in local or n in outside)
        self.mentioned |= inner.mentioned
        for changed in outside:
            self.defined[changed] = None
        self._define(name)
        self.within[name] = needed

    def _inner(self, body: list[ast.stmt], arguments: set[str]) -> None:
        inner = _Walk()
        inner._bound = arguments
        inner.statements(body)
        self.mentioned |= inner.mentioned
        for name in inner.used:
            self._use(name)


def _arguments(arguments: ast.arguments) -> set[str]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return {argument.arg for argument in every}


def _said_global(body: list[ast.stmt]) -> set[str]:
    return {
        name
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Global)
        for name in node.names
    }
