"""Makes the text of a ``nextmart.toml`` from proposals, with escaped names and values of the users' files."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from jobs.loading.proposals.proposal_classes import FeedKeyProposal, FeedProposal, UserQuestion
from jobs.loading.proposals.proposed_settings import OPTION, QUESTION, SET, SettingProposal
from jobs.loading.report_text import report_lines, report_warnings

HEADER = """\
# Written by `nextmart init`. What was guessed stands with its evidence. A line that begins with #? is a question that
# the files don't answer. Change what is wrong, then start `nextmart load --check`.
"""
_LINE_WIDTH = 118
_PREFIX_AFTER_HASH = {SET: " ", OPTION: " Optional: ", QUESTION: "? "}
"""Status of a proposed setting -> what stands between the # and the evidence in its comment."""


def toml_value(value: Any) -> str:
    """Return a text, a number, a boolean, or a list or table of these, as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        pairs = (f"{toml_value(str(key))} = {toml_value(each)}" for key, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return '"' + "".join(map(_escape_character, str(value))) + '"'


def settings_file_text(
    feed_proposals: Mapping[str, FeedProposal],
    setting_proposals: Collection[SettingProposal],
    problems_of_left_out_files: Collection[str] = (),
) -> str:
    """Return the text of a whole ``nextmart.toml``.

    Parameters
    ----------
    feed_proposals : feed's name -> FeedProposal
    problems_of_left_out_files : collection of str
        A text for each file that is in no feed, which says why.
    """
    parts = [HEADER]
    for problem in problems_of_left_out_files:
        parts += _comment_lines(f"Left out: {problem}")
    top = _settings_lines(setting for setting in setting_proposals if not setting.table)
    parts += [*top, ""] if top else []
    for name, feed_proposal in feed_proposals.items():
        parts.append("\n".join(_feed_lines(name, feed_proposal)))
    in_vars = [setting for setting in setting_proposals if setting.table == "vars"]
    if in_vars:
        parts.append("\n".join(["[vars]", *_settings_lines(in_vars)]))
    return "\n".join(parts) + "\n"


def _settings_lines(setting_proposals: Iterable[SettingProposal]) -> list[str]:
    lines: list[str] = []
    said = ""
    for setting in setting_proposals:
        line = f"{setting.key} = {toml_value(setting.value)}"
        if setting.evidence != said:
            lines += _comment_lines(setting.evidence, _PREFIX_AFTER_HASH[setting.status])
        lines.append(line if setting.status == SET else f"# {line}")
        said = setting.evidence
    return lines


def _feed_lines(name: str, feed_proposal: FeedProposal) -> list[str]:
    """Return the lines of a feed's table in TOML; if the feed can't be loaded yet, all are comments."""
    sample = feed_proposal.sample
    looked_at = f"all {sample.row_count:,} rows" if sample.has_all_rows else f"the first {sample.row_count:,} rows"
    comments = [*_comment_lines(f"{sample.sampled_path}: {feed_proposal.reason_for_kind}. Looked at: {looked_at}.")]
    for remark in (*sample.remarks, *feed_proposal.remarks):
        comments += _comment_lines(remark)
    settings = [f"[feeds.{name}]", f"kind = {toml_value(feed_proposal.kind or 'events or items?')}"]
    files = list(sample.file_patterns)
    settings.append(f"files = {toml_value(files[0] if len(files) == 1 else files)}")
    if feed_proposal.preset:
        settings.append(f"preset = {toml_value(feed_proposal.preset.name)}")
    settings += _option_lines(feed_proposal)
    if feed_proposal.time_format_proposal:
        settings += _comment_lines(feed_proposal.time_format_proposal.evidence)
        settings.append(f"time_format = {toml_value(feed_proposal.time_format_proposal.value)}")
    of_map = [
        question
        for question in feed_proposal.questions
        if any(each.key.startswith("map.") for each in question.possible_answers)
    ]
    for question in feed_proposal.questions:
        if question not in of_map:
            settings += _question_lines(question)
    if feed_proposal.column_proposals or of_map:
        settings += ["", f"[feeds.{name}.map]", *_map_lines(feed_proposal.column_proposals)]
        for question in of_map:
            settings += _question_lines(question)
    if feed_proposal.trial:
        settings += ["", *_trial_lines(feed_proposal)]
    if not feed_proposal.is_loadable:
        settings = [line if line.startswith("#") or not line else f"# {line}" for line in settings]
    return [*comments, *settings, ""]


def _option_lines(feed_proposal: FeedProposal) -> list[str]:
    """Return the lines with a feed's reading options, such as ``encoding``, without those that its preset sets."""
    options = feed_proposal.sample.read_options
    of_preset = feed_proposal.layout.read_options if feed_proposal.layout else None
    lines = []
    for key in ("encoding", "delimiter", "columns"):
        value = getattr(options, key)
        if value is not None and (of_preset is None or getattr(of_preset, key) is None):
            lines.append(f"{key} = {toml_value(list(value) if key == 'columns' else value)}")
    return lines


def _map_lines(column_proposals: Collection[FeedKeyProposal]) -> list[str]:
    lines = []
    for proposal in column_proposals:
        lines += _comment_lines(proposal.evidence)
        lines.append(f"{proposal.key} = {toml_value(proposal.map_value)}")
    return lines


def _question_lines(question: UserQuestion) -> list[str]:
    lines = _comment_lines(question.text, "? ")
    for answer in question.possible_answers:
        evidence = f"  # {_one_line(answer.evidence)}" if answer.evidence else ""
        lines.append(f"# {answer.key.removeprefix('map.')} = {toml_value(answer.value)}{evidence}")
    return lines


def _trial_lines(feed_proposal: FeedProposal) -> list[str]:
    """Return comment lines with the result of loading the feed's sample."""
    trial = feed_proposal.trial
    if trial is None:
        return []
    lines = _comment_lines(
        f"What the loader makes of {'these' if feed_proposal.sample.has_all_rows else 'the first'} rows:"
    )
    lines += [f"# {_one_line(line)}" for line in report_lines(trial.report)]
    if trial.count_without_repeats < trial.read_count and feed_proposal.kind == "events":
        lines += _comment_lines(
            f"  rows that repeat another row, and count once: {trial.read_count - trial.count_without_repeats:,}"
        )
    for note in (*trial.notes, *report_warnings(trial.report)):
        lines += _comment_lines(f"WARN: {note.removeprefix('warning: ')}")
    return lines


def _comment_lines(text: str, prefix_after_hash: str = " ") -> list[str]:
    """Return a text as comment lines of limited width; the first line begins with ``#`` and ``prefix_after_hash``."""
    lines, line = [], ""
    for word in _one_line(text).split(" "):
        if line and len(line) + len(word) + 1 > _LINE_WIDTH - 2:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    first = f"#{prefix_after_hash}{lines[0]}"
    return [first, *(f"# {each}" for each in lines[1:])]


def _one_line(text: str) -> str:
    """Return a text without line ends, which would end a comment, and without control characters."""
    one_line = " ".join(text.splitlines())
    return "".join(character if character.isprintable() else "�" for character in one_line)


def _escape_character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
