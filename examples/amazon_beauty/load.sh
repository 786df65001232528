#!/usr/bin/env bash
# Amazon Beauty (the data of arXiv 2309.09261): a reviewer is a visitor, a review an event. NEXTMART_DATA names the data
# folder. A review has a day but no time: the event_id puts the reviews of one day in the data's published order.
# An item's attributes are its brand, if it is known, and then its categories from the top down.
set -euo pipefail
data="${NEXTMART_DATA:?set NEXTMART_DATA to the folder that holds amazon_beauty/}/amazon_beauty"
categories="['Skin Care', 'Hair Care', 'Makeup', 'Fragrance', 'Bath & Body', 'Tools & Accessories']"
nextmart load \
  --items "$data/items.parquet" \
  --events "$data/interactions.parquet" \
  --map item_id=asin \
  --map "brand=case when not list_contains($categories, attributes[1]) then attributes[1] end" \
  --map "category=array_to_string(list_filter(attributes, (a, i) -> i > 1 or list_contains($categories, a)), ' > ')" \
  --map visitor_id=reviewer_id \
  --map event_at=unix_review_time \
  --map "event_type='review'" \
  --map "event_id=reviewer_id || '-' || lpad(pos_ticoserec::varchar, 4, '0')"
