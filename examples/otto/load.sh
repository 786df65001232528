#!/usr/bin/env bash
# OTTO (RecSys 2022), its first 20 visitors: real clicks, carts and orders. NEXTMART_DATA names the data folder.
# What OTTO calls a session is all that one visitor did in four weeks. Here it becomes a visitor, whose events are
# divided into sessions by silences of more than 30 minutes. nextmart calls an order a purchase, and counts purchases in
# sessions. OTTO has no catalogue: the items are the distinct item_ids of the events, without any text. So models that
# read texts can't be used (nextmart.toml leaves them out), no item has similar items, and dbt's test items_without_text
# warns of all 510 items.
# Expect 862 events and 144 sessions.
set -euo pipefail
events="${NEXTMART_DATA:?set NEXTMART_DATA to the folder that holds otto_sample/}/otto_sample/events.parquet"
nextmart load \
  --items "$events" \
  --events "$events" \
  --map event_at=ts_ms \
  --map "event_type=case event_type when 'orders' then 'purchase' else rtrim(event_type, 's') end"
