#!/usr/bin/env bash
# YooChoose clicks (RecSys Challenge 2015), a sample: real clicks of a shop. NEXTMART_DATA names the data folder.
# The data set has sessions but no visitors, so each session is a visitor too. A session stays as the tracker made it,
# however long its silences (551 sessions have a silence of more than 30 minutes).
# The data set has no catalogue: the items are the distinct item_ids of the clicks, without any text. So models that
# read texts can't be used (nextmart.toml leaves them out), no item has similar items, and dbt's test items_without_text
# warns of all 2,933 items. The full data set has a category code for each click, and purchases in another file; this
# sample lacks both.
# Expect 83,845 events of 83,846 read (one click comes twice) and 21,210 sessions.
set -euo pipefail
clicks="${NEXTMART_DATA:?set NEXTMART_DATA to the folder that holds yoochoose_clicks/}/yoochoose_clicks/clicks.parquet"
nextmart load \
  --items "$clicks" \
  --events "$clicks" \
  --map visitor_id=session_id \
  --map source_session_id=session_id \
  --map event_at=ts_ms \
  --map "event_type='click'"
