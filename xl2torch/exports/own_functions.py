"""Functions of this package that a written program calls, as source that stands alone."""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
import math
import operator
import sys
import textwrap
from collections.abc import Collection
from types import CodeType, ModuleType
from typing import Any, cast

import numpy as np
import scipy
import torch

from xl2torch.errors import ModelError
from xl2torch.ir.ops import is_own, recorded

WIDTH = 100
NUMPY, SCIPY = "import numpy as np", "import scipy"
_IMPORTS: dict[ModuleType, str] = {
    math: "import math", operator: "import operator", np: NUMPY, scipy: SCIPY,
}  # fmt: skip


class OwnFunctions:
    """Sources of functions, of what they use, and what has to be imported for them."""

    def __init__(self) -> None:
        self.sources: dict[str, tuple[Any, ast.Module]] = {}
        self.called: set[str] = set()
        self.imports: set[str] = set()
        self.numbers: dict[str, str] = {}

    def call(self, target: Any) -> None:
        """Keep a function that forward calls. Raises ModelError."""
        self.called.add(target.__name__)
        self.keep(target)

    def keep(self, target: Any) -> None:
        """Keep the source of one of our functions, and of what it uses."""
        name = target.__name__
        if name in self.sources:
            if self.sources[name][0] is not target:
                raise _cannot_write(name)  # two of one name
            return
        if "<" in target.__qualname__:
            raise _cannot_write(name)
        tree = ast.parse(textwrap.dedent(inspect.getsource(target)))
        if not _is_plain(target, tree):
            raise _cannot_write(name)
        module = sys.modules[target.__module__]
        modules = {
            word
            for word, value in vars(module).items()
            if inspect.ismodule(value) and value.__name__.startswith("xl2torch")
        }
        members = {word: _attributes(tree, word) for word in modules}
        self.sources[name] = (target, _plain(tree, modules))
        for word in dict.fromkeys(word for code in _codes(target) for word in _globals_read(code)):
            value = getattr(module, word, None)
            if word in modules:
                for attribute in members[word]:
                    self.keep(getattr(value, attribute))
            elif is_own(value) and (inspect.isfunction(value) or inspect.isclass(value)):
                self.keep(value)
            elif inspect.ismodule(value) and value in _IMPORTS:
                self.imports.add(_IMPORTS[value])
            elif value in (torch, cast, torch.Tensor) or hasattr(builtins, word):
                continue
            elif isinstance(value, int | float | torch.dtype):
                text = f'float("{value}")' if value in (math.inf, -math.inf) else repr(value)
                if self.numbers.setdefault(word, f"{word} = {text}") != f"{word} = {text}":
                    raise _cannot_write(name)  # two of one name
            else:
                raise _cannot_write(name)

    def texts(self) -> list[str]:
        """Sources of our functions; those that forward calls without leading underscores."""
        public = {name: name.lstrip("_") for name in self.called}
        for _, tree in self.sources.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    node.name = public.get(node.name, node.name)
                elif isinstance(node, ast.Name):
                    node.id = public.get(node.id, node.id)
        constants = "".join(f"\n{line}" for line in self.numbers.values())
        found = [constants + "\n"] if constants else []
        return [*found, *(f"\n{_source(tree)}\n" for _, tree in self.sources.values())]


def _source(tree: ast.Module) -> str:
    lines = ast.unparse(tree).splitlines()
    return "\n".join(f"{line}  # noqa: E501" if len(line) > WIDTH else line for line in lines)


def _cannot_write(name: str) -> ModelError:
    return ModelError(
        f"the function {name} of the sheet's program cannot be written as Python source: "
        'export `to="pt2"`'
    )


def _is_plain(target: Any, tree: ast.Module) -> bool:
    """Whether no decorator changes a function, and no default is more than a literal."""
    if not inspect.isfunction(target):
        return True
    (definition,) = tree.body
    defaults = [item.default for item in inspect.signature(target).parameters.values()]
    plain = (int, float, bool, str, type(None), type(inspect.Parameter.empty))
    changing = [
        item for item in getattr(definition, "decorator_list", ())
        if not (isinstance(item, ast.Call) and ast.unparse(item.func) == recorded.__name__)
    ]  # fmt: skip
    return not changing and all(isinstance(default, plain) for default in defaults)


def _codes(target: Any) -> list[CodeType]:
    """Code of a function, or of the methods of a class."""
    if inspect.isfunction(target):
        return [target.__code__]
    methods = (inspect.unwrap(getattr(target, name)) for name in vars(target))
    return [method.__code__ for method in methods if inspect.isfunction(method)]


def _globals_read(code: CodeType) -> list[str]:
    """Names outside of a function that it reads, and those within it."""
    found = [i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"]
    inner = [part for part in code.co_consts if isinstance(part, CodeType)]
    return [*found, *(word for part in inner for word in _globals_read(part))]


def _attributes(tree: ast.Module, module: str) -> list[str]:
    """Names of a module that source reads."""
    return [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name) and node.value.id == module
    ]  # fmt: skip


def _plain(tree: ast.Module, modules: Collection[str]) -> ast.Module:
    """Source without type hints and casts, names of our modules without the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            node.decorator_list = [
                item for item in node.decorator_list
                if isinstance(item, ast.Name) and item.id == "staticmethod"
            ]  # fmt: skip
        elif isinstance(node, ast.arg):
            node.annotation = None
    return cast(ast.Module, _Plain(modules).visit(tree))


class _Plain(ast.NodeTransformer):
    """typing.cast(kind, value) as the value, x: kind = value as x = value, module.name as name."""

    def __init__(self, modules: Collection[str]) -> None:
        self.modules = modules

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        is_cast = isinstance(node.func, ast.Name) and node.func.id == "cast"
        return node.args[1] if is_cast else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id in self.modules:
            return ast.Name(node.attr, node.ctx)
        return node
