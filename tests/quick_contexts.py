"""dbt's contexts of macros, made with less work: part of ``quick_dbt``.

A context holds all macros of all packages. dbt makes two contexts for each model and each test, and one for each
statement that its adapter lets a macro write (the columns of a table, a rename). A thread builds one node after the
other, and never needs the context of an earlier one again, so its contexts share one namespace of macros. A macro is
made ready to be called once in a context, not for each call.
"""

import threading
from collections.abc import Callable
from typing import Any

from dbt.adapters.base.impl import BaseAdapter
from dbt.clients.jinja import MacroGenerator
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.context.manifest import ManifestContext
from dbt.contracts.graph.nodes import Macro

_original_to_dict = ManifestContext.to_dict
_original_set_generator = BaseAdapter.set_macro_context_generator


def make_contexts_quick() -> None:
    """Replace functions of dbt in this process."""
    MacroNamespaceBuilder.build_namespace = _build_namespace
    ManifestContext.to_dict = _to_dict
    BaseAdapter.set_macro_context_generator = _set_generator


class _MacroOfContext(MacroGenerator):
    """A macro in a context, which shares with the context's other macros what is the same for all of them."""

    __slots__ = ("macro", "shared")

    context = property(lambda generator: generator.shared.context)
    node = property(lambda generator: generator.shared.node)
    stack = property(lambda generator: generator.shared.stack)

    def get_macro(self) -> Callable:
        functions, name = self.shared.functions, self.macro.unique_id
        if name not in functions:
            functions[name] = super().get_macro()
        return functions[name]


class _Shared:
    """What all macros of a context have in common.

    Attributes
    ----------
    context : dict
        What templates find by name.
    node : object
        The model or test that is built, or the macro that the adapter calls.
    stack : MacroStack
        The macros whose calls have not returned yet.
    functions : dict
        Id of a macro -> its function, once it was called in this context.
    """

    def belong_to(self, builder: MacroNamespaceBuilder, context: dict[str, Any]) -> None:
        self.context, self.node, self.stack = context, builder.node, builder.thread_ctx
        self.functions: dict[str, Callable] = {}


_of_thread = threading.local()
"""The namespace of this thread's nodes, with what it was built from and what its macros share."""


def _build_namespace(builder: MacroNamespaceBuilder, macros_by_package: dict, ctx: dict[str, Any]) -> MacroNamespace:
    """Return the namespace that dbt makes; a thread's nodes have one namespace, which changes its context."""
    if isinstance(builder.node, Macro):  # its context is made in the middle of a node's, which goes on afterwards
        return _new_namespace(builder, macros_by_package, ctx)[0]
    packages = (builder.root_package, builder.search_package, builder.internal_package_names_order)
    macros, packages_before, namespace, shared = getattr(_of_thread, "namespace", (None, None, None, None))
    if macros is not macros_by_package or packages_before != packages:
        namespace, shared = _new_namespace(builder, macros_by_package, ctx)
        _of_thread.namespace = macros_by_package, packages, namespace, shared
    shared.belong_to(builder, ctx)
    return namespace


def _new_namespace(
    builder: MacroNamespaceBuilder, macros_by_package: dict, ctx: dict[str, Any]
) -> tuple[MacroNamespace, _Shared]:
    """Return a namespace, made without a call for each macro, and what its macros share."""
    new, shared = MacroGenerator.__new__, _Shared()
    shared.belong_to(builder, ctx)
    packages: dict[str, dict[str, MacroGenerator]] = {}
    for package, macros in macros_by_package.items():
        packages[package] = generators = {}
        for name, macro in macros.items():
            generator = generators[name] = new(_MacroOfContext)
            generator.macro = macro
            generator.shared = shared
    internal: dict[str, MacroGenerator] = {}
    for package in reversed(builder.internal_package_names_order):
        internal.update(packages.pop(package, {}))
    own = packages.get(builder.search_package, {})
    root = packages.get(builder.root_package, {}) if builder.root_package != builder.search_package else {}
    return MacroNamespace(root, own, internal, packages), shared


def merged_macros(namespace: MacroNamespace) -> dict[str, object]:
    """Return all macros of a namespace by name; of macros of one name, the one that dbt's search finds first."""
    if "merged_macros" not in vars(namespace):
        merged: dict[str, object] = {}
        for macros in reversed(list(namespace._search_order())):
            merged |= macros
        namespace.merged_macros = merged
    return namespace.merged_macros


def _to_dict(context: ManifestContext) -> dict[str, Any]:
    """Return what dbt's method returns, without a call for each macro."""
    if not isinstance(context.namespace, MacroNamespace):
        return _original_to_dict(context)
    members = super(ManifestContext, context).to_dict()
    members.update(merged_macros(context.namespace))
    return members


def _set_generator(adapter: BaseAdapter, generator: Callable[..., dict[str, Any]]) -> None:
    """Let an adapter use one context in each thread for all macros that it calls; dbt makes equal ones for each."""
    contexts = threading.local()

    def generate(macro: Any, config: Any, manifest: Any, package: str | None) -> dict[str, Any]:
        key = (id(config), id(manifest), package)
        if key not in vars(contexts):
            vars(contexts)[key] = generator(macro, config, manifest, package)
        return vars(contexts)[key]

    _original_set_generator(adapter, generate)
