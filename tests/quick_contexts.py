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

_original_set_generator = BaseAdapter.set_macro_context_generator


def make_contexts_quick() -> None:
    """Replace functions of dbt in this process."""
    MacroNamespaceBuilder.build_namespace = _build_namespace
    BaseAdapter.set_macro_context_generator = _set_generator


def _build_namespace(builder: MacroNamespaceBuilder, macros_by_package: dict, ctx: dict[str, Any]) -> MacroNamespace:
    """Return the namespace that dbt's method returns, without a call for each macro."""
    node, stack = builder.node, builder.thread_ctx
    packages: dict[str, dict[str, MacroGenerator]] = {}
    for package, macros in macros_by_package.items():
        packages[package] = generators = {}
        for name, macro in macros.items():
            generator = generators[name] = MacroGenerator.__new__(MacroGenerator)
            generator.__dict__ = {"macro": macro, "context": ctx, "node": node, "stack": stack}
    internal: dict[str, MacroGenerator] = {}
    for package in reversed(builder.internal_package_names_order):
        internal.update(packages.pop(package, {}))
    own = packages.get(builder.search_package, {})
    root = packages.get(builder.root_package, {}) if builder.root_package != builder.search_package else {}
    return MacroNamespace(root, own, internal, packages)


def _set_generator(adapter: BaseAdapter, generator: Callable[..., dict[str, Any]]) -> None:
    """Let an adapter make the context of a macro once in a thread, not for each call."""
    contexts = threading.local()

    def generate(macro: Any, config: Any, manifest: Any, package: str | None) -> dict[str, Any]:
        key = (macro.unique_id, id(config), id(manifest), package)
        if key not in vars(contexts):
            vars(contexts)[key] = generator(macro, config, manifest, package)
        return vars(contexts)[key]

    _original_set_generator(adapter, generate)
