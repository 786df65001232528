#!/usr/bin/env bash
# OTTO (RecSys 2022), its first 20 visitors: real clicks, carts and orders. NEXTMART_DATA names the data folder.
# What OTTO calls a session is a visitor over four weeks: here it is the visitor, whom silences of more than 30 minutes
# divide into sessions. Our word for an order is purchase, which is what sessions count.
# There is no catalogue: the items are the distinct ids of the events, without a word of text, so the models that read
# texts can't be used (nextmart.toml), no item has similar ones, and dbt's test items_without_text warns of all 510.
# Expect 862 events and 144 sessions.
set -euo pipefail
events="${NEXTMART_DATA:?set NEXTMART_DATA to the folder that holds otto_sample/}/otto_sample/events.parquet"
nextmart load \
  --items "$events" \
  --events "$events" \
  --map event_at=ts_ms \
  --map "event_type=case event_type when 'orders' then 'purchase' else rtrim(event_type, 's') end"
