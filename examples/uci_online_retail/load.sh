#!/usr/bin/env bash
# UCI Online Retail: real orders of a gift wholesaler. NEXTMART_DATA names the data folder. In it
# uci_online_retail/transactions.parquet is the set's one sheet, its columns called invoice_no, stock_code, description,
# quantity, invoice_ts, unit_price and customer_id.
# Start it in an empty folder with a copy of nextmart.toml, then `nextmart run` there; after that `nextmart experiment`
# with experiments/retail.toml compares the models on these orders.
# Each line of an order is an event. The catalogue is made of the lines that sell a product: five digits, maybe
# letters, at a price. Events on other codes (POST, DOT, M, adjustments) are then rejected as unknown items, and
# cancellations keep a type of their own, which nextmart.toml leaves out of the sequences.
# A quarter of the lines name no customer. They are loaded all the same, and staging.rejected_events has them as
# missing_visitor_id: what is left out is counted. An order that lists a product twice has bought it once.
# Expect 531,230 events of 541,909 lines: 394,818 usable (8,459 of them cancellations), 134,544 without a customer,
# 1,868 on codes that are no product. All lines of an order carry one time, so which item of the next order is the
# target of a test case is an accident, and figures are low for every model.
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
