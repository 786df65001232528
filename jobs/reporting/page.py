"""Filling the page's template: a report's parts in, one HTML text out."""

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from jobs.reporting.parts import Section, Tile, cell

TEMPLATES: Final = Path(__file__).parent / "template"


@dataclass(frozen=True)
class Report:
    """What a page shows; the texts are plain texts, which the page never reads as HTML."""

    made_at: datetime
    warehouse: str
    tiles: list[Tile]
    sections: list[Section]
    visitors: list[dict[str, Any]]
    items: list[list[Any]]


def render(report: Report) -> str:
    """Return the page as HTML.

    A content security policy lets only the page's own script run, and nothing load but pictures over https, which the
    reader asks for with a button.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        report=report,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        has_pictures=any(row["picture"] for visitor in report.visitors for row in visitor["history"] + visitor["rows"]),
    )
