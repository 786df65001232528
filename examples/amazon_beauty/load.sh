#!/usr/bin/env bash
# Amazon Beauty (the paper's data): a reviewer is a visitor, a review an event. NEXTMART_DATA names the data folder.
# Reviews carry days, not times: the event_id puts those of one day in the data's published order.
set -euo pipefail
data="${NEXTMART_DATA:?set NEXTMART_DATA to the folder that holds amazon_beauty/}/amazon_beauty"
nextmart load \
  --items "$data/items.parquet" \
  --events "$data/interactions.parquet" \
  --map item_id=asin \
  --map visitor_id=reviewer_id \
  --map event_at=unix_review_time \
  --map "event_type='review'" \
  --map "event_id=reviewer_id || '-' || lpad(pos_ticoserec::varchar, 4, '0')"
