"""The settings of the simulated shop, some of which change on some nights."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos.placements import HOME_SETTINGS, MAIL_SETTINGS
from benchmarks.chaos.service import MODEL

FIXED_SETTINGS = """
embedding_requests_in_flight = 2
embedding_timeout_seconds = 5
embedding_patience_seconds = 1
backups_kept = 2

[feeds.items]
files = "items/*.jsonl"
complete = true

[feeds.events]
files = "events/*.jsonl"
"""
REQUESTS_IN_FLIGHT = 2

# The shares at which a build stops are raised: a small shop whose feeds are late exceeds the default shares.
FIXED_VARS = """
late_error_percent = 100
late_sessions_error_percent = 100
max_rejected_share = 0.9
together_min_sessions = 2
"""

SETTING_CHOICES: dict[str, tuple[Any, ...]] = {
    "models": (["popularity", "llmseqsim", "sknn"], ["popularity", "sknn"]),
    "seed": (0, 1),
    "retrain_after_days": (6.5, 2.5),
    "embedding_batch_size": (8, 3),
    "models_kept": (3, 1),
    "runs_kept": (3, 1),
    "vars.recommendations_per_visitor": (20, 7, 12),
    "vars.similar_items_per_item": (20, 5),
    "vars.sequence_scope": ("session", "visitor"),
    "placements.home.k": (6, 3),
}
"""The settings that change, each with its values; a campaign starts with the first. ``vars.`` marks a dbt var."""


@dataclass
class ShopSettings:
    """The settings of the simulated shop in the present night."""

    setting_values: dict[str, Any] = field(
        default_factory=lambda: {name: choices[0] for name, choices in SETTING_CHOICES.items()}
    )

    def change_one_setting(self, choice: float) -> str:
        """Give one setting another of its values; return what was changed."""
        changes = [
            (name, value)
            for name, setting_values in SETTING_CHOICES.items()
            for value in setting_values
            if value != self.setting_values[name]
        ]
        name, value = changes[int(choice * len(changes))]
        self.setting_values[name] = value
        return f"{name} = {value}"

    def write(self, folder: Path) -> None:
        """Write ``nextmart.toml``."""
        parts = [
            *self._toml_lines(""),
            FIXED_SETTINGS,
            MAIL_SETTINGS,
            HOME_SETTINGS,
            *self._toml_lines("placements.home."),
        ]
        parts += ["[vars]", *self._toml_lines("vars."), FIXED_VARS, MODEL]
        (folder / "nextmart.toml").write_text("\n".join(parts))

    def _toml_lines(self, table: str) -> list[str]:
        in_table = {
            name.rpartition(".")[2]: value
            for name, value in self.setting_values.items()
            if _table_prefix(name) == table
        }
        return [f"{name} = {json.dumps(value)}" for name, value in in_table.items()]

    @property
    def max_texts_in_flight(self) -> int:
        """The most texts whose answers are under way at the same time."""
        return REQUESTS_IN_FLIGHT * int(self.setting_values["embedding_batch_size"])


def _table_prefix(name: str) -> str:
    table, point, _ = name.rpartition(".")
    return table + point
