"""Withdraws available items that a complete feed (a list of the whole catalogue) lacks, unless they are too many."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jobs.errors import NextmartError
from jobs.loading.item_and_visitor_rows import LatestRowRules, loaded_rows_sql
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.progress import say
from jobs.warehouse.connection import Connection, count_rows
from jobs.warehouse.dbt_macros import dbt_model_sql

EXAMPLES_SHOWN = 5
RAW_ITEMS_WITHOUT_ATTRIBUTES = {"raw.items": "(select * exclude (attributes) from raw.items)"}
"""The SQL that the model stg_items reads here in place of raw.items: without attributes, which are slow to read."""


class ItemWithdrawal:
    """Collects the items that a complete feed lists, source by source, and withdraws the available items that it lacks.

    If one load has several lists of the whole catalogue, the last list decides which items are withdrawn.
    """

    def __init__(self, connection: Connection, latest_row_rules: LatestRowRules, dbt_vars: Mapping[str, Any]):
        """Record which items of ``raw.items`` are available before the load, by the rules of dbt's staging.

        Parameters
        ----------
        dbt_vars : mapping
            Values of the dbt vars.
        """
        self.connection = connection
        self.latest_row_rules = latest_row_rules
        staged = dbt_model_sql("staging/stg_items.sql", dbt_vars, RAW_ITEMS_WITHOUT_ATTRIBUTES)
        self.available_items = f"select item_id from ({staged}) where available"
        connection.execute(f"create or replace temp table available_before as {self.available_items}")
        for name in ("listed_items", "listed_earlier"):
            connection.execute(f"create or replace temp table {name} (item_id varchar)")
        self.unreadable_row_count = 0

    def record_listed_items(self, unreadable_row_count: int, *, is_superseded: bool = False) -> None:
        """Record that the items of the view ``incoming`` are in the feed's list of the whole catalogue.

        Parameters
        ----------
        unreadable_row_count : int
            The number of the list's rows that can't be read.
        is_superseded : bool
            Whether the same load has a later list, which alone decides which items are withdrawn.
        """
        table = "listed_earlier" if is_superseded else "listed_items"
        self.connection.execute(f"insert into {table} select {self.latest_row_rules.id_sql} from incoming")
        if not is_superseded:
            self.unreadable_row_count += unreadable_row_count

    def withdraw_unlisted_items(self, loaded_at: datetime, max_withdrawn_share: float) -> int:
        """Withdraw available items that the feed doesn't list: append rows with ``available`` = false to ``raw.items``.

        Items that are only in superseded lists of this load are withdrawn too. Nothing is withdrawn if rows of the feed
        are unreadable or have no id, because such a row may list an item that the feed seems to lack.

        Parameters
        ----------
        max_withdrawn_share : float
            The largest share of the items available before the load that may be withdrawn.

        Returns
        -------
        Number of items that were withdrawn.

        Raises
        ------
        NextmartError
            If more than the largest share of the available items would be withdrawn; or if the last list has no item of
            the earlier lists, which suggests that the lists are parts of one list.
        """
        earlier, common = (
            count_rows(self.connection, name)
            for name in ("listed_earlier", "(from listed_earlier semi join listed_items using (item_id))")
        )
        if earlier and not common:
            raise NextmartError(
                "the last of several new lists of the whole catalogue has no item of the others: are they parts of one "
                "list? Put the parts of a list into a folder of their own, which `files` names. Nothing was loaded."
            )
        self.connection.execute(
            "create or replace temp table unlisted_items as "
            "from available_before anti join listed_items using (item_id)"
        )
        available, unlisted = (count_rows(self.connection, name) for name in ("available_before", "unlisted_items"))
        if unlisted > max_withdrawn_share * available:
            ids = self.connection.execute(f"from unlisted_items order by item_id limit {EXAMPLES_SHOWN}").fetchall()
            examples = ", ".join(row[0] for row in ids) + (", …" if unlisted > EXAMPLES_SHOWN else "")
            raise NextmartError(
                f"the complete feed of items lacks {unlisted:,} of the {available:,} items that are available "
                f"({unlisted / available:.1%}): {examples}.\nmax_withdrawn_share allows {max_withdrawn_share:.1%}. Is "
                "the feed "
                "whole? If so, add --allow-mass-withdrawal, and all of these are withdrawn. Nothing was loaded."
            )
        if earlier:
            self.connection.execute(
                "insert into unlisted_items select distinct item_id from listed_earlier "
                "anti join listed_items using (item_id) anti join unlisted_items using (item_id) "
                f"where item_id in ({self.available_items})"
            )
        unlisted = count_rows(self.connection, "unlisted_items")
        # a row without an id has the key ''
        rows_without_id = count_rows(self.connection, "(from listed_items where item_id = '')")
        if unlisted and self.unreadable_row_count + rows_without_id:
            say(
                f"WARN: items: none of the {unlisted:,} items that the complete feed lacks is withdrawn, because rows "
                f"of the feed may list them: {self.unreadable_row_count:,} can't be read, and {rows_without_id:,} have "
                "no item_id. Mend those rows, and load the feed again."
            )
            return 0
        names = [name for name in TABLE_COLUMNS["items"] if name != "available"]
        self.connection.execute(
            "create or replace temp table withdrawn_now as "
            f"select * from ({loaded_rows_sql(self.latest_row_rules, 'select item_id from unlisted_items')}) "
            "where age = 1"
        )
        self.connection.execute(
            f"insert into raw.items by name select {', '.join(names)}, 'false' as available, $loaded_at as loaded_at "
            "from withdrawn_now",
            {"loaded_at": loaded_at},
        )
        self.connection.execute(
            "insert into raw.withdrawn_items by name "
            "select row_key as item_id, available, $loaded_at as loaded_at from withdrawn_now",
            {"loaded_at": loaded_at},
        )
        return count_rows(self.connection, "withdrawn_now")
