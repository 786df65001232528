"""The classes of a proposed feed: a proposal for each of its keys, with evidence, and questions to the user."""

from dataclasses import dataclass, field

from jobs.loading.mapping import REQUIRED_COLUMNS
from jobs.loading.presets.layout import FileLayout, Preset
from jobs.loading.proposals.samples import FileSample
from jobs.loading.proposals.trials import FeedTrial
from jobs.loading.sources import LoadSource
from jobs.warehouse.connection import quoted_name


@dataclass(frozen=True)
class FeedKeyProposal:
    """A proposed value of one key of a feed, with the evidence for it.

    Attributes
    ----------
    key : str
        A raw column, which is a key of the feed's map; or a key of the feed itself, such as ``time_format``. Answers to
        questions write ``map.`` before a raw column.
    value : str
        For a raw column, a column of the file or an SQL expression; else the key's value.
    evidence : str
    is_sql : bool
        Whether ``value`` is an SQL expression rather than a column's name.
    """

    key: str
    value: str
    evidence: str
    is_sql: bool = False

    @property
    def map_value(self) -> str:
        """The right side of the map: ``value``, which is quoted as an SQL name if it begins or ends with a blank."""
        is_plain = self.is_sql or self.value == self.value.strip() != ""
        return self.value if is_plain else quoted_name(self.value)


@dataclass(frozen=True)
class UserQuestion:
    """A question to the user about something that the files don't show.

    Attributes
    ----------
    text : str
    possible_answers : tuple of FeedKeyProposal
        The user chooses one: they are written as comments, and the user removes the comment sign of the right one.
    """

    text: str
    possible_answers: tuple[FeedKeyProposal, ...] = ()


@dataclass(frozen=True)
class FeedProposal:
    """A proposed feed, as `nextmart init` writes it to ``nextmart.toml``.

    Attributes
    ----------
    sample : FileSample
    kind : str
        ``events`` or ``items``; empty if the columns don't tell.
    reason_for_kind : str
        Why the rows are taken for events or items.
    preset : Preset, optional
    layout : FileLayout, optional
        The layout of the preset that fits the file.
    column_proposals : tuple of FeedKeyProposal
        The feed's map: a proposal for each raw column.
    time_format_proposal : FeedKeyProposal, optional
    questions : tuple of UserQuestion
    remarks : tuple of str
        Notes on columns and rows that are left out, and why.
    trial : FeedTrial, optional
        The result of loading the sample by this feed; None if it was not tried, or loading failed.
    """

    sample: FileSample
    kind: str
    reason_for_kind: str
    preset: Preset | None = None
    layout: FileLayout | None = None
    column_proposals: tuple[FeedKeyProposal, ...] = ()
    time_format_proposal: FeedKeyProposal | None = None
    questions: tuple[UserQuestion, ...] = ()
    remarks: tuple[str, ...] = ()
    trial: FeedTrial | None = field(default=None, compare=False)

    @property
    def source(self) -> LoadSource:
        """The sampled file as a source of the loader, with the feed's map and options, but without its preset."""
        return LoadSource(
            self.kind,
            self.sample.sampled_path,
            column_map={proposal.key: proposal.map_value for proposal in self.column_proposals},
            read_options=self.sample.read_options,
            time_formats=(self.time_format_proposal.value,) if self.time_format_proposal else (),
        )

    @property
    def is_loadable(self) -> bool:
        """Whether the feed can be loaded: its kind and the required columns of its table are known."""
        if self.preset:
            return True
        keys = {proposal.key for proposal in self.column_proposals}
        return bool(self.kind) and keys >= set(REQUIRED_COLUMNS[self.kind])
