#!/usr/bin/env bash
# YooChoose clicks (RecSys Challenge 2015), a sample: real clicks of a shop. NEXTMART_DATA names the data folder.
# The set knows no visitors: a session of its is all there is, so it is the visitor too, and stands as the tracker
# cut it, however long its silences (551 sessions have one of more than 30 minutes).
# It has no catalogue either. The items are the distinct ids of the clicks, without a word of text, so the models that
# read texts can't be used (nextmart.toml), no item has similar ones, and dbt's test items_without_text warns of all
# 2,933. The full set's clicks have a category code and purchases in a file of their own, which this sample lacks.
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
