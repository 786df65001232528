"""The progress of a dbt build for people: one line for each stage, made from the events of dbt's log.

With ``--log-format json`` dbt writes one event a line. A stage is a folder of dbt models with their tests. The
folder of job models is left out, because each job prints its own line when it ends.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobs.progress import stage_line

JOBS_FOLDER = "jobs"
BUILT_RESOURCE_TYPES = ("model", "snapshot", "seed", "test")


@dataclass
class Stage:
    """A folder of dbt models with their tests, and the counts of those that a build has finished.

    Attributes
    ----------
    unfinished : set of str
        dbt's ids of the models and tests that have not ended yet.
    tables, tests : int
        The numbers of models and snapshots built, and of tests passed.
    seconds : float
        Time during which a model or test of the stage was running.
    """

    name: str
    unfinished: set[str]
    tables: int = 0
    tests: int = 0
    seconds: float = 0.0
    is_broken: bool = False
    _running: set[str] = field(default_factory=set)
    _busy_since: datetime | None = None

    def start_node(self, node_id: str, event_time: datetime) -> None:
        """Note that a model or test of the stage has begun."""
        if not self._running:
            self._busy_since = event_time
        self._running.add(node_id)

    def end_node(self, node_id: str, event_time: datetime, status: str) -> None:
        """Note that a model or test of the stage has ended or was skipped; ``status`` is its result, in dbt's words."""
        self._running.discard(node_id)
        self.unfinished.discard(node_id)
        if self._busy_since and not self._running:
            self.seconds += (event_time - self._busy_since).total_seconds()
            self._busy_since = None
        self.is_broken |= status not in ("success", "pass", "warn")
        self.tables += status == "success"
        self.tests += status == "pass"

    def summary_line(self) -> str:
        """Return the stage's line for people: its name, counts and seconds."""
        tables = f"{self.tables} {'table' if self.tables == 1 else 'tables'}, " if self.tables else ""
        tests = f"{self.tests} {'test' if self.tests == 1 else 'tests'} passed"
        return stage_line(self.name, tables + tests, self.seconds)


class BuildProgress:
    """The stages of one dbt build, updated by the events of dbt's log.

    Parameters
    ----------
    manifest : mapping
        The content of ``manifest.json``, which dbt writes before it builds any model.
    """

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        folder_by_node = _folder_by_node(manifest["nodes"])
        folders = {node: folder for node, folder in folder_by_node.items() if folder != JOBS_FOLDER}
        self._stages = stages = {
            folder: Stage(folder, {node for node in folders if folders[node] == folder}) for folder in folders.values()
        }
        self._stage_of = {node: stages[folder] for node, folder in folders.items()}
        self._jobs = folder_by_node.keys() - folders
        self._jobs_done: list[str] = []

    def process_event(self, event: Mapping[str, Any]) -> Iterator[str]:
        """Process one event of dbt's log; yield a line for people if it is a warning, and one if a stage ends."""
        node = event["data"].get("node_info", {})
        stage = self._stage_of.get(node.get("unique_id", ""))
        name, event_time = event["info"]["name"], datetime.fromisoformat(event["info"]["ts"])
        if stage is None:
            if node.get("unique_id") in self._jobs and _ends_node(name, node) and node["node_status"] == "success":
                self._jobs_done.append(node["node_name"])
            return
        if name == "LogStartLine":
            stage.start_node(node["unique_id"], event_time)
        elif node["unique_id"] in stage.unfinished and _ends_node(name, node):
            stage.end_node(node["unique_id"], event_time, node["node_status"])
            if node["node_status"] == "warn":
                yield f"WARN: test {node['node_name']}, rows found: {event['data'].get('num_failures', 0):,}"
            if not stage.unfinished and not stage.is_broken:
                yield stage.summary_line()

    def what_is_committed(self) -> str:
        """Return a sentence for people about what a build that ends now has committed."""
        stages = self._stages.values()
        done = [stage.name for stage in stages if not stage.unfinished and not stage.is_broken] + self._jobs_done
        begun = [stage.name for stage in stages if stage.unfinished and (stage.tables or stage.tests)]
        parts = [f"done: {', '.join(done)}"] if done else []
        parts += [f"partly done: {', '.join(begun)}"] if begun else []
        return f"Kept is what was committed ({'; '.join(parts)})." if parts else "No table was built."


def _ends_node(event_name: str, node: Mapping[str, Any]) -> bool:
    return bool(node.get("node_finished_at")) or event_name.startswith(("Skipping", "LogSkip"))


def _folder_by_node(nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the folder of each model and test, by dbt's id; a test gets the folder of the last model that it reads."""
    built_nodes = {name: node for name, node in nodes.items() if node["resource_type"] in BUILT_RESOURCE_TYPES}
    folders = {
        name: _folder_of_node(node)
        for name, node in built_nodes.items()
        if node["resource_type"] != "test" and node["config"]["materialized"] != "ephemeral"
    }
    tests = {}
    for name, node in built_nodes.items():
        if node["resource_type"] == "test":
            read = [parent for parent in _nodes_read_by(node) if parent in folders]
            tests[name] = folders[read[-1]] if read else "sources"
    return {**folders, **tests}


def _folder_of_node(node: Mapping[str, Any]) -> str:
    return "catalog" if node["resource_type"] == "snapshot" else str(node["path"]).split("/", 1)[0]


def _nodes_read_by(test: Mapping[str, Any]) -> Iterable[str]:
    attached = test.get("attached_node")
    return [attached] if attached else test["depends_on"]["nodes"]
