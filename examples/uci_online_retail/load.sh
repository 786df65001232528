#!/usr/bin/env bash
# UCI Online Retail: real orders of a gift wholesaler. NEXTMART_DATA names the data folder. In it,
# uci_online_retail/transactions.parquet is the data set's only sheet, with the columns invoice_no, stock_code,
# description, quantity, invoice_ts, unit_price and customer_id.
# Start this script in an empty folder with a copy of nextmart.toml, then start `nextmart run` there. After that,
# `nextmart experiment` with experiments/retail.toml compares the models on these orders.
# Each line of an order is an event. The catalogue is made of the lines that sell a product: their stock_code is
# five digits, perhaps followed by letters, and they have a price. Events on other codes (POST, DOT, M, adjustments) are
# then rejected as unknown items. Cancellations have the event type cancellation, which nextmart.toml leaves out of the
# sequences.
# A quarter of the lines name no customer. They are loaded all the same, and staging.rejected_events lists them as
# missing_visitor_id, so that they are counted. A product that an order lists twice is bought once.
# Expect 531,230 events of 541,909 lines: 394,818 usable (8,459 of them cancellations), 134,544 without a customer,
# 1,868 on codes that are no product. All lines of an order have the same time, so which item of the next order is the
# target of a test case is arbitrary, and the metrics are low for every model.
set -euo pipefail
data="${NEXTMART_DATA:?set NEXTMART_DATA to the folder that holds uci_online_retail/}/uci_online_retail"
nextmart load \
  --items "$data/transactions.parquet" \
  --where-items "regexp_full_match(stock_code, '[0-9]{5}[A-Za-z]*') and quantity > 0 and unit_price > 0" \
  --map "item_id=upper(stock_code)" \
  --map items.title=description \
  --map items.price=unit_price \
  --map items.updated_at=invoice_ts \
  --events "$data/transactions.parquet" \
  --map events.visitor_id=customer_id \
  --map events.event_at=invoice_ts \
  --map "events.event_type=case when starts_with(invoice_no, 'C') then 'cancellation' else 'purchase' end" \
  --map events.source_session_id=invoice_no
