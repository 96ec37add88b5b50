"""Finds the source of functions and classes that live in a notebook's cells or in a file."""

import __future__

import ast
import inspect
import linecache
import symtable
import textwrap
import types
from typing import Any, Callable, Dict, Iterator, List, Tuple

from input_fns import InputError


def of(value: Any, problem: Callable[[str, str], InputError]) -> Tuple[str, int]:
    """Returns the statement that defines a function or class, with its decorators, and the number of its first line.

    Args:
        value: The function or class.
        problem: Makes the error of a name and of what is wrong with it.

    Raises:
        InputError: Made by `problem`: the source is not known, or uses variables of a function around it.
    """
    name, functions = value.__name__, list(_functions_of(value))
    free = [name for function in functions for name in function.__code__.co_freevars if name != "__class__"]
    if free:
        raise problem(name, f"uses {free[0]} of the function around it; make that a global")
    if not functions:
        raise problem(name, "has no function of its own, so that its source cannot be found")
    path = functions[0].__code__.co_filename
    lines = linecache.getlines(path, functions[0].__globals__)
    codes = [function.__code__ for function in functions if function.__code__.co_filename == path]
    first = min(code.co_firstlineno for code in codes)
    kind = ast.ClassDef if isinstance(value, type) else ast.FunctionDef
    for node in ast.walk(_parsed(lines)):
        if isinstance(node, kind) and node.name == name:
            begin = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if begin == first or (isinstance(value, type) and begin < first <= (node.end_lineno or 0)):
                source = textwrap.dedent("".join(lines[begin - 1 : node.end_lineno])).rstrip()
                if _words(codes[0]) not in map(_words, _codes(compile(source, path, "exec"))):
                    raise problem(name, f"was edited in {path} since it was defined; define it again")
                return source, begin
    raise problem(name, f"has no source that can be found ({path})")


def _parsed(lines: List[str]) -> ast.Module:
    try:
        return ast.parse("".join(lines))
    except SyntaxError:  # the file was edited, and not finished
        return ast.Module([], [])


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yields a code object and all within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _words(code: types.CodeType) -> Tuple[Any, ...]:
    """Returns what an edit of the source would most likely change. The bytecode depends on the lines around, too."""
    constants = [repr(constant) for constant in code.co_consts if not isinstance(constant, types.CodeType)]
    return code.co_name, code.co_varnames, sorted(code.co_names), constants


def _functions_of(value: Any) -> Iterator[types.FunctionType]:
    """Yields a function without its decorators, or the methods of a class."""
    if not isinstance(value, type):
        function = inspect.unwrap(value)
        if isinstance(function, types.FunctionType):
            yield function
        return
    for item in vars(value).values():
        item = item.fget if isinstance(item, property) else getattr(item, "__func__", item)
        function = inspect.unwrap(item) if callable(item) else None
        if not isinstance(function, types.FunctionType):
            continue
        # Methods that a decorator such as dataclass has made are in no file.
        in_file = linecache.getlines(function.__code__.co_filename, function.__globals__)
        if in_file and function.__qualname__.startswith(f"{value.__qualname__}."):
            yield function


def namespace(value: Any) -> Dict[str, Any]:
    """Returns the globals that a function, or the methods of a class, read."""
    return next(_functions_of(value)).__globals__


def has_future_annotations(value: Any) -> bool:
    """Tells whether `from __future__ import annotations` was in force where a function or class was defined."""
    return bool(next(_functions_of(value)).__code__.co_flags & __future__.annotations.compiler_flag)


def globals_of(source: str) -> List[str]:
    """Returns the global names that a statement reads, in any of its scopes, sorted."""
    table = symtable.symtable(source, "<source>", "exec")
    defined = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned()}
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    tables = list(table.get_children())
    while tables:
        inner = tables.pop()
        tables += inner.get_children()
        names |= {symbol.get_name() for symbol in inner.get_symbols() if symbol.is_global() and symbol.is_referenced()}
    return sorted(names - defined)


def dotted_names_of(source: str) -> List[str]:
    """Returns the names with dots that a statement reads, such as "xml.dom.minidom", sorted."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        parts: List[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if parts and isinstance(node, ast.Name):
            names.add(".".join([node.id, *parts]))
    return sorted(names)
