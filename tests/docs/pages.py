"""Reads the documentation: its code blocks, the commands that it shows, its tables and links."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

COMMENT = re.compile(r"<!-- (.+) -->")
NOT_RUN = "not run: "
ON_THE_WAREHOUSE = "on the warehouse"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with the HTML comment above it."""

    page: Path
    line: int
    language: str
    text: str
    comment: str

    @property
    def is_run(self) -> bool:
        return not self.comment.startswith(NOT_RUN)

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(*languages: str, page: Path | None = None) -> list[Block]:
    """Return the blocks in some languages, of one page or of all, in their order."""
    return [block for each in ([page] if page else PAGES) for block in _blocks(each) if block.language in languages]


def _blocks(page: Path) -> Iterator[Block]:
    comment, lines = "", iter(enumerate(page.read_text(encoding="utf-8").splitlines(), start=1))
    for number, line in lines:
        if line.startswith("```"):
            body = []
            for _, inside in lines:
                if inside == "```":
                    break
                body.append(inside)
            yield Block(page, number, line.removeprefix("```").strip(), "\n".join(body), comment)
            comment = ""
        elif line.strip():
            found = COMMENT.fullmatch(line)
            comment = found[1] if found else ""


def prose(page: Path) -> str:
    """Return a page's text without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Return the words behind ``nextmart`` of every command that a page shows, in blocks or in its text."""
    lines = [line for block in blocks("sh", "cron", page=page) for line in block.text.replace("\\\n", " ").splitlines()]
    named = [text.replace("\n", " ") for text in re.findall(r"`(nextmart [^`]*)`", prose(page))]
    return [words for text in [*lines, *named] for words in _commands(text)]


def _commands(text: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words = list(lexer)
    for place, word in enumerate(words):
        if word == "nextmart":
            rest = words[place + 1 :]
            ends = [at for at, each in enumerate(rest) if set(each) <= set(";&|")]
            yield rest[: ends[0]] if ends else rest


def tables(page: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield the head and the rows of each table of a page, as cells."""
    for head, rows in re.findall(r"^(\|.+\|)\n\|[-|: ]+\|\n((?:\|.+\|\n)*)", prose(page) + "\n", flags=re.MULTILINE):
        yield _cells(head), [_cells(row) for row in rows.splitlines()]


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def names(cell: str) -> list[str]:
    """Return the words in backticks of a table's cell."""
    return re.findall(r"`([^`]+)`", cell)


def anchors(page: Path) -> set[str]:
    """Return what links may point to inside a page: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
