"""dbt with less work of its own for each model, for tests that run dbt hundreds of times in one process.

dbt runs the same macros and the same statements as without this module. It saves more than half of a small run's time:

- an event that no logger and no test hears is not written as a message;
- the contexts in which macros run are made with less work: see ``quick_contexts``;
- a Jinja template is compiled once in the life of the process;
- the macros that a context can call are merged once for each context, not searched for each name;
- the parser of dates that the tables of results ask for is made once;
- a project that was parsed for one warehouse is not parsed again for a copy of it in another folder;
- the graph of a parsed project is made once, and its summary is not written;
- an adapter doesn't read its sources to say in which file its behaviour flags are;
- the folders of installed packages are searched once for plugins of dbt;
- the projects of dbt itself and of its adapter are read once.
"""

from functools import cache

import jinja2
import parsedatetime
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.factory import get_include_paths
from dbt.compilation import Compiler
from dbt.config.runtime import RuntimeConfig
from dbt.context.macros import MacroNamespace
from dbt.contracts.graph.manifest import Manifest
from dbt.graph import Graph
from dbt.plugins.manager import PluginManager
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.events.base_types import BaseEvent, DebugLevel, EventLevel, InfoLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import get_event_manager
from quick_contexts import make_contexts_quick, merged_macros

_original_new_event = BaseEvent.__init__
_original_fire_event = EventManager.fire_event
_original_compile = jinja2.Environment.compile
_original_connection_keys = DuckDBCredentials._connection_keys
_original_compile_project = Compiler.compile
_original_new_project = RuntimeConfig.new_project


def make_dbt_quick() -> None:
    """Replace functions of dbt and its libraries in this process."""
    BaseEvent.__init__ = _new_event
    EventManager.fire_event = _fire_event
    jinja2.Environment.compile = _compile
    MacroNamespace.keys = lambda namespace: merged_macros(namespace).keys()
    MacroNamespace.__getitem__ = lambda namespace, name: merged_macros(namespace)[name]
    DuckDBCredentials._connection_keys = _connection_keys
    Compiler.compile = _compile_project
    RuntimeConfig.new_project = _new_project
    PluginManager.get_prefixed_modules = cache(PluginManager.get_prefixed_modules)
    BehaviorFlagRendered._default_source = lambda flag: "nextmart"
    parsedatetime.Constants = cache(parsedatetime.Constants)
    parsedatetime.Calendar = cache(parsedatetime.Calendar)
    make_contexts_quick()


def _is_unheard(event: BaseEvent) -> bool:
    """Return whether only a logger or a test could want the event, and there is none; dbt has a callback of its own."""
    manager = get_event_manager()
    if len(manager.callbacks) != 1:
        return False
    if isinstance(event, DebugLevel):
        return all(logger.level not in (EventLevel.DEBUG, EventLevel.TEST) for logger in manager.loggers)
    return isinstance(event, InfoLevel) and not manager.loggers


def _new_event(event: BaseEvent, *arguments: object, **fields: object) -> None:
    if _is_unheard(event):
        vars(event)["unwritten"] = (arguments, fields)
    else:
        _original_new_event(event, *arguments, **fields)


def _fire_event(
    manager: EventManager, event: BaseEvent, level: EventLevel | None = None, *arguments: object, **named: object
) -> None:
    if _is_unheard(event) and level in (None, EventLevel.DEBUG):
        return
    if "unwritten" in vars(event):
        unwritten, fields = vars(event).pop("unwritten")
        _original_new_event(event, *unwritten, **fields)
    _original_fire_event(manager, event, level, *arguments, **named)


def _connection_keys(credentials: DuckDBCredentials) -> tuple[str, ...]:
    """Return the fields in which a difference makes dbt parse again: all but the path of the file."""
    return tuple(key for key in _original_connection_keys(credentials) if key != "path")


compiled_templates: dict[tuple, object] = {}
"""Kind of environment, text and options of a template -> its code."""


def _compile(environment: jinja2.Environment, source: object, *arguments: object) -> object:
    """Compile a template given as text once for each kind of environment; dbt gives a parsed one for a macro's file."""
    if not isinstance(source, str):
        return _original_compile(environment, source, *arguments)
    key = (type(environment).__name__, source, *arguments)
    if key not in compiled_templates:
        compiled_templates[key] = _original_compile(environment, source, *arguments)
    return compiled_templates[key]


_graphs: dict[tuple[int, bool], tuple[Manifest, Graph]] = {}


def _compile_project(compiler: Compiler, manifest: Manifest, write: bool = True, add_test_edges: bool = False) -> Graph:
    """Make the graph of a manifest once; a graph stands beside its manifest, so that no other one gets the same id."""
    key = id(manifest), add_test_edges
    if key not in _graphs:
        _graphs[key] = manifest, _original_compile_project(compiler, manifest, write, add_test_edges)
    compiler.initialize()
    _, graph = _graphs[key]
    return Graph(graph.graph.copy())


_projects_of_dbt: dict[str, RuntimeConfig] = {}


def _new_project(config: RuntimeConfig, folder: str) -> RuntimeConfig:
    """Read a package's project; those that dbt brings have no vars, and are the same for each warehouse."""
    if folder not in map(str, get_include_paths(config.credentials.type)):
        return _original_new_project(config, folder)
    if folder not in _projects_of_dbt:
        _projects_of_dbt[folder] = _original_new_project(config, folder)
    return _projects_of_dbt[folder]
