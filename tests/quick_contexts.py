"""dbt's contexts of macros, made with less work: part of ``quick_dbt``.

A context holds all macros of all packages. dbt makes two contexts for each model and each test, and one for each
statement that its adapter lets a macro write (the columns of a table, a rename).
"""

import threading
from collections.abc import Callable
from typing import Any

from dbt.adapters.base.impl import BaseAdapter
from dbt.clients.jinja import MacroGenerator
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.context.manifest import ManifestContext

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

    context = property(lambda generator: generator.shared[0])
    node = property(lambda generator: generator.shared[1])
    stack = property(lambda generator: generator.shared[2])


def _build_namespace(builder: MacroNamespaceBuilder, macros_by_package: dict, ctx: dict[str, Any]) -> MacroNamespace:
    """Return the namespace that dbt's method returns, without a call for each macro."""
    new, shared = MacroGenerator.__new__, (ctx, builder.node, builder.thread_ctx)
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
    return MacroNamespace(root, own, internal, packages)


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
    """Let an adapter make the context of a macro once in a thread, not for each call."""
    contexts = threading.local()

    def generate(macro: Any, config: Any, manifest: Any, package: str | None) -> dict[str, Any]:
        key = (macro.unique_id, id(config), id(manifest), package)
        if key not in vars(contexts):
            vars(contexts)[key] = generator(macro, config, manifest, package)
        return vars(contexts)[key]

    _original_set_generator(adapter, generate)
