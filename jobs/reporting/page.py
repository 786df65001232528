"""Fills the HTML template of the report with the report's parts."""

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from jobs.reporting.page_parts import Section, Tile, cell_text

TEMPLATES: Final = Path(__file__).parent / "template"


@dataclass(frozen=True)
class ReportContent:
    """The content of a report; its texts are plain texts, which are escaped in the HTML page."""

    made_at: datetime
    warehouse_path: str
    tiles: list[Tile]
    sections: list[Section]
    sampled_visitors: list[dict[str, Any]]
    searchable_items: list[list[Any]]


def render_page(report_content: ReportContent) -> str:
    """Return a report as the text of an HTML page.

    The page's content security policy lets it run only its own script, and load only pictures over https. A page loads
    pictures only when its reader presses a button.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell_text
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        report_content=report_content,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        has_pictures=any(
            row["picture"]
            for visitor in report_content.sampled_visitors
            for row in visitor["history"] + visitor["rows"]
        ),
    )
