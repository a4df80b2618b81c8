"""Run a program and then its tests inside a confined process, and tell the planner if both came to their end.

Runs after `planner.verifiers.confinement`, imports the standard library only, and trusts nothing that the
program may have changed. The mark of success is a secret of each run, held where no variable, frame or module
leads to it; a program that reads the memory of its own interpreter can still find it.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import importlib
import linecache
import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

# Ways to find an object that nothing names, and ways to jump over a line of the tests (doctest needs these).
_NEVER: Final = frozenset({"gc.get_objects", "gc.get_referrers", "gc.get_referents"})
_NOT_BY_PROGRAMS: Final = frozenset({"sys.settrace", "sys.setprofile"})
# Values that nobody expects of a program, by their kind; what is equal to them is equal to anything.
_STRANGERS: Final[dict[type, tuple[object, ...]]] = {
    bool: (False, True),
    int: (7301928465, -5640918273),
    float: (73019.28465, -564091.8273),
    complex: (73019.28465j, -564091.8273j),
    str: ("7301928465", "5640918273"),
    bytes: (b"7301928465", b"5640918273"),
    list: ([object()], [object(), 7301928465]),
    tuple: ((object(),), (object(), 7301928465)),
    dict: ({7301928465: object()}, {"5640918273": object()}),
    set: ({7301928465}, {"5640918273"}),
    frozenset: (frozenset({7301928465}), frozenset({"5640918273"})),
    type(None): (object(), [object()]),
}


def steps_of(
    work: dict[str, Any], confine: Callable[[dict[str, Any]], None]
) -> Iterator[Callable[[], object]]:
    """Confine this process and return what is left to do: calls, of which the last tells of success.

    The calls are C functions wherever they matter, in an iterator that only C code holds, so that a program
    that walks up its stack finds neither the mark nor a function that it could replace.

    Parameters
    ----------
    work : dict
        ``program``, ``tests``, ``mark``, and what `confine` reads; emptied here.
    confine : callable
        Returns in the process that shall run the program.
    """
    pipe = _keep_one_descriptor()
    try:
        confine(work)
    except (OSError, ValueError) as error:
        os.write(pipe, b"E" + str(error).encode(errors="replace")[:400])
        os._exit(0)
    os.write(pipe, b"R")
    program, tests = work["program"], work["tests"]
    mark, speaks = work["mark"].encode(), work["speaks"]
    leave = functools.partial(os._exit, 0)
    work.clear()

    module = types.ModuleType("__main__")
    module.__dict__.update(__file__="program.py", __builtins__=builtins)
    sys.modules["__main__"] = module
    sys.argv = ["program.py"]
    with contextlib.suppress(OSError), open("program.py", "w", encoding="utf-8", errors="replace") as file:
        file.write(program)
    run_tests = _compiled(tests, "tests.py")
    run_program = _compiled(program, "program.py")
    guards = _main_guards(program) if tests.strip() else ()
    restore = _restorers(tests)
    _watch_classes(guard_any="ANY" in program and "ANY" not in tests)
    sys.addaudithook(_unnamed(_refuse))
    names = module.__dict__
    report = functools.partial(os.write, pipe, mark)
    if speaks:
        report = functools.partial(_unnamed(_speak), pipe, mark, names)
    first = functools.partial(exec, run_program, names)
    if tests.strip():
        first = functools.partial(_forgive, first, guards)
    trusted = dict(vars(builtins))
    return iter(
        [
            first,
            _distrust_classes,
            functools.partial(builtins.__dict__.update, trusted),
            functools.partial(names.__setitem__, "__builtins__", trusted),
            *restore,
            functools.partial(_unnamed(_allow_unittest_to_exit), functools.partial(exec, run_tests, names)),
            report,
            leave,
        ]
    )


def _speak(pipe: int, mark: bytes, names: dict[str, Any]) -> None:
    """Tell what a probe has to say, which is for the planner to believe or not."""
    os.write(pipe, mark + str(names.get("SAID")).encode(errors="replace")[:400])


def _unnamed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a copy of a function that its own module does not lead to, so that nobody changes its code."""
    assert isinstance(function, types.FunctionType)
    return types.FunctionType(function.__code__, dict(function.__globals__), None, function.__defaults__)


def _keep_one_descriptor() -> int:
    """Return the pipe to the planner; all other descriptors are closed or lead nowhere."""
    pipe = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(3, pipe)
    os.closerange(pipe + 1, 1024)
    return pipe


def _compiled(source: str, name: str) -> types.CodeType:
    """Compile, and let tracebacks, inspect and doctest find the lines."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return compile(source, name, "exec", dont_inherit=True)


def _main_guards(program: str) -> tuple[range, ...]:
    """Return the lines under each ``if __name__ == "__main__":``."""
    return tuple(
        range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for node in ast.parse(program).body
        if isinstance(node, ast.If)
        and any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))
    )


def _forgive(run: Callable[[], object], guards: tuple[range, ...]) -> None:
    """Run the program; that it asks for input, exits, or fails in its own demonstration is no failed test."""
    try:
        run()
    except (SystemExit, EOFError):
        return
    except Exception as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != "program.py":
            trace = trace.tb_next
        if trace is None or not any(trace.tb_lineno in lines for lines in guards):
            raise


def _allow_unittest_to_exit(run: Callable[[], object]) -> None:
    """Run the tests; the exit of a ``unittest.main()`` that they call themselves is what it says."""
    try:
        run()
    except SystemExit as error:
        files = []
        trace = error.__traceback__
        while trace is not None:
            files.append(trace.tb_frame.f_code.co_filename)
            trace = trace.tb_next
        main = sys.modules.get("unittest.main")
        callers = [file for file in files[1:] if file != getattr(main, "__file__", None)]
        if error.code or not files or set(callers) != {"tests.py"} or files[-1] == "tests.py":
            raise


def _restorers(tests: str) -> list[Callable[[], object]]:
    """Return calls that undo what a program changes in modules of the library that its tests import."""
    nodes = list(ast.walk(ast.parse(tests)))
    wanted = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    wanted |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    roots = {name.partition(".")[0] for name in wanted} & sys.stdlib_module_names - {"sys", "__future__"}
    for name in sorted(wanted):
        if name.partition(".")[0] in roots:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in roots]
    classes = {
        id(value): value for module in modules for value in vars(module).values() if isinstance(value, type)
    }
    calls: list[Callable[[], object]] = [
        functools.partial(sys.modules.update, {module.__name__: module for module in modules})
    ]
    calls += [functools.partial(vars(module).update, dict(vars(module))) for module in modules]
    calls += [
        functools.partial(type.__setattr__, owner, key, item)
        for owner in classes.values()
        for key, item in vars(owner).items()
        if isinstance(item, types.FunctionType)
    ]
    return calls


def _watch_classes(*, guard_any: bool) -> None:
    """Let no class that is made from now on call itself equal to everything."""
    build = builtins.__build_class__

    def build_watched(*arguments: Any, **options: Any) -> Any:
        made = build(*arguments, **options)
        _distrust(made)
        return made

    builtins.__build_class__ = build_watched
    if guard_any:  # a program that returns this wants to be equal to whatever is expected
        anything = type(importlib.import_module("unittest.mock").ANY)
        type.__setattr__(anything, "__eq__", lambda self, other: self is other)


def _distrust_classes() -> None:
    """Do the same to classes of the program that were made without a class statement."""
    seen: set[type] = set()
    found = list(object.__subclasses__())
    while found:
        made = found.pop()
        if made not in seen:
            seen.add(made)
            found += type.__subclasses__(made)
            if made.__module__ == "__main__":
                _distrust(made)


def _distrust(made: object) -> None:
    for name, equal in (("__eq__", True), ("__ne__", False)):
        compare = vars(made).get(name) if isinstance(made, type) else None
        if isinstance(compare, types.FunctionType) and not hasattr(compare, "__wrapped__"):
            type.__setattr__(made, name, _honest(compare, equal=equal))


def _honest(compare: Callable[[Any, Any], Any], *, equal: bool) -> Callable[[Any, Any], Any]:
    """Return a comparison that is not believed about a plain value when it calls all values equal.

    Parameters
    ----------
    equal : bool
        What the comparison says of equal values: True for ``==``, False for ``!=``.
    """

    @functools.wraps(compare)
    def honest(self: Any, other: Any) -> Any:
        verdict = compare(self, other)
        if type(verdict) not in (bool, int) or bool(verdict) != equal or type(other) not in _STRANGERS:
            return verdict
        try:
            for strange in _STRANGERS[type(other)]:
                if strange is not other and bool(compare(self, strange)) != equal:
                    return verdict
        except Exception:  # noqa: BLE001 - the program's code raises what it likes; refusing is honest
            return verdict
        return not equal

    return honest


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse events that no program under test needs."""
    if event in _NEVER or (event in _NOT_BY_PROGRAMS and sys._getframe(1).f_code.co_filename == "program.py"):
        raise RuntimeError(f"{event} is not available to programs under test")
