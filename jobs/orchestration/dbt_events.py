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
class BuildStage:
    """A folder of dbt models with their tests, and how many of them a build has finished.

    Attributes
    ----------
    unfinished_nodes : set of str
        dbt's ids of the models and tests that have not ended yet.
    built_table_count, passed_test_count : int
        The numbers of models and snapshots built, and of tests passed.
    busy_seconds : float
        Time during which a model or test of the stage was running.
    """

    name: str
    unfinished_nodes: set[str]
    built_table_count: int = 0
    passed_test_count: int = 0
    busy_seconds: float = 0.0
    has_failed_node: bool = False
    _running_nodes: set[str] = field(default_factory=set)
    _busy_since: datetime | None = None

    def note_node_start(self, node_id: str, event_time: datetime) -> None:
        """Note that a model or test of the stage has begun."""
        if not self._running_nodes:
            self._busy_since = event_time
        self._running_nodes.add(node_id)

    def note_node_end(self, node_id: str, event_time: datetime, status: str) -> None:
        """Note that a model or test of the stage has ended or was skipped; ``status`` is its result, in dbt's words."""
        self._running_nodes.discard(node_id)
        self.unfinished_nodes.discard(node_id)
        if self._busy_since and not self._running_nodes:
            self.busy_seconds += (event_time - self._busy_since).total_seconds()
            self._busy_since = None
        self.has_failed_node |= status not in ("success", "pass", "warn")
        self.built_table_count += status == "success"
        self.passed_test_count += status == "pass"

    def summary_line(self) -> str:
        """Return the stage's line for people: its name, counts and seconds."""
        tables = (
            f"{self.built_table_count} {'table' if self.built_table_count == 1 else 'tables'}, "
            if self.built_table_count
            else ""
        )
        tests = f"{self.passed_test_count} {'test' if self.passed_test_count == 1 else 'tests'} passed"
        return stage_line(self.name, tables + tests, self.busy_seconds)


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
            folder: BuildStage(folder, {node for node in folders if folders[node] == folder})
            for folder in folders.values()
        }
        self._stage_of = {node: stages[folder] for node, folder in folders.items()}
        self._job_nodes = folder_by_node.keys() - folders
        self._finished_job_names: list[str] = []
        self._test_configs = {
            name: node["config"] for name, node in manifest["nodes"].items() if node["resource_type"] == "test"
        }

    def process_event(self, event: Mapping[str, Any]) -> Iterator[str]:
        """Process one event of dbt's log; yield a line for people if it is a warning, and one if a stage ends."""
        node = event["data"].get("node_info", {})
        stage = self._stage_of.get(node.get("unique_id", ""))
        name, event_time = event["info"]["name"], datetime.fromisoformat(event["info"]["ts"])
        if stage is None:
            if node.get("unique_id") in self._job_nodes and _ends_node(name, node) and node["node_status"] == "success":
                self._finished_job_names.append(node["node_name"])
            return
        if name == "LogStartLine":
            stage.note_node_start(node["unique_id"], event_time)
        elif node["unique_id"] in stage.unfinished_nodes and _ends_node(name, node):
            stage.note_node_end(node["unique_id"], event_time, node["node_status"])
            if node["node_status"] == "warn":
                finding = _finding_of_test(self._test_configs[node["unique_id"]], event["data"].get("num_failures", 0))
                yield f"WARN: test {node['node_name']}, {finding}"
            if not stage.unfinished_nodes and not stage.has_failed_node:
                yield stage.summary_line()

    def describe_committed_work(self) -> str:
        """Return a sentence for people: which stages and jobs a build has committed so far, if it ends now."""
        stages = self._stages.values()
        done = [
            stage.name for stage in stages if not stage.unfinished_nodes and not stage.has_failed_node
        ] + self._finished_job_names
        begun = [
            stage.name
            for stage in stages
            if stage.unfinished_nodes and (stage.built_table_count or stage.passed_test_count)
        ]
        parts = [f"done: {', '.join(done)}"] if done else []
        parts += [f"partly done: {', '.join(begun)}"] if begun else []
        return f"Kept is what was committed ({'; '.join(parts)})." if parts else "No table was built."


def _finding_of_test(test_config: Mapping[str, Any], number: int) -> str:
    """Return what a test has found, for people: a number of rows, or another number that it compares with its limit."""
    if test_config.get("fail_calc", "count(*)") == "count(*)":
        return f"rows found: {number:,}"
    return f"measured: {number:,}, it warns if this is {test_config['warn_if']}"


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


def _nodes_read_by(test_node: Mapping[str, Any]) -> Iterable[str]:
    attached = test_node.get("attached_node")
    return [attached] if attached else test_node["depends_on"]["nodes"]
