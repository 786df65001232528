#!/usr/bin/env bash
# An Apache access log of semicomplete.com: raw hits of a blog. NEXTMART_DATA names the data folder.
# An item is a page: the path without its query, because a query only says where a reader came from or how a list is
# sorted. The title of a page is the words of its path, the only text that a log has (the home page has none).
# A visitor is an IP address with a user agent, since an office shares one address. Both are hashed, because
# recommendations are published and an IP address may identify a person.
# A page view is a GET that was answered with the page (200), or with "not modified" (304). Left out are the files
# that a page loads (styles, scripts, images, fonts), feeds (?flav=), which programs fetch every hour, redirects (the
# page that follows counts), parts of downloads (206) and errors.
# robots.txt is loaded although it is no page, because a visitor that asks for it is a bot (bot_rule in nextmart.toml).
# As an item it is withdrawn, so that it is recommended to nobody.
# The log's times all lie in the fifth minute of an hour, so a session is what a visitor read in an hour; line_no keeps
# the log's order within a second.
# Expect 3,294 views of 806 pages; 323 of the 1,286 visitors are bots, with 1,674 of the views.
set -euo pipefail
hits="${NEXTMART_DATA:?set NEXTMART_DATA to the folder that holds weblog/}/weblog/hits.parquet"
page="regexp_extract(path, '[^?#]*')"
views="method = 'GET' and status in (200, 304) and not contains(path, '?flav=')
  and not regexp_matches($page, '(?i)[.](css|js|png|jpe?g|gif|ico|svg|ttf|woff|swf)\$')"
nextmart load \
  --items "$hits" \
  --where-items "$views" \
  --map "item_id=$page" \
  --map "items.title=regexp_replace($page, '[.]x?html\$|%20|[/_.-]+', ' ', 'g')" \
  --map "items.available=$page <> '/robots.txt'" \
  --events "$hits" \
  --where-events "$views" \
  --map "events.event_id=lpad(line_no::varchar, 8, '0')" \
  --map "events.visitor_id=md5(concat_ws(' ', client_ip, user_agent))" \
  --map events.event_at=event_ts
