"""The settings of the simulated shop; on some nights a fault changes one of them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos.fake_embedding_service import MODEL
from benchmarks.chaos.placements import HOME_SETTINGS, MAIL_SETTINGS

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

# A small shop whose feeds are late exceeds the default shares at which a build stops, so these are raised.
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
"""The settings that a fault may change, each with its possible values, of which a campaign starts with the first.
``vars.`` marks a dbt var."""


@dataclass
class ShopSettings:
    """The present values of the settings that may change, by name as in ``SETTING_CHOICES``."""

    setting_values: dict[str, Any] = field(
        default_factory=lambda: {name: choices[0] for name, choices in SETTING_CHOICES.items()}
    )

    def change_one_setting(self, uniform_number: float) -> str:
        """Give one setting another of its possible values, and return this change as text.

        ``uniform_number``, a number from 0 to 1, chooses the setting and the value.
        """
        changes = [
            (name, value)
            for name, setting_values in SETTING_CHOICES.items()
            for value in setting_values
            if value != self.setting_values[name]
        ]
        name, value = changes[int(uniform_number * len(changes))]
        self.setting_values[name] = value
        return f"{name} = {value}"

    def write(self, folder: Path) -> None:
        """Write all settings, fixed and changing ones, to ``nextmart.toml`` in a folder."""
        parts = [
            *self._toml_lines(""),
            FIXED_SETTINGS,
            MAIL_SETTINGS,
            HOME_SETTINGS,
            *self._toml_lines("placements.home."),
        ]
        parts += ["[vars]", *self._toml_lines("vars."), FIXED_VARS, MODEL]
        (folder / "nextmart.toml").write_text("\n".join(parts))

    def _toml_lines(self, table_prefix: str) -> list[str]:
        in_table = {
            name.rpartition(".")[2]: value
            for name, value in self.setting_values.items()
            if _table_prefix(name) == table_prefix
        }
        return [f"{name} = {json.dumps(value)}" for name, value in in_table.items()]

    @property
    def max_texts_in_flight(self) -> int:
        """The largest number of texts that can be in embedding requests under way at the same time."""
        return REQUESTS_IN_FLIGHT * int(self.setting_values["embedding_batch_size"])


def _table_prefix(setting_name: str) -> str:
    table, point, _ = setting_name.rpartition(".")
    return table + point
