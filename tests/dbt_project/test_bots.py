"""The default ``bot_user_agents`` tells programs from people."""

import duckdb
import polars as pl
import pytest
from crawlers import is_crawler

from jobs.dbt_vars import default_vars

PROGRAMS = [
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 8_3 like Mac OS X) Safari/600.1.4 (Applebot/0.1)",
    "Mozilla/5.0 (compatible; YandexImages/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Safari/537.36 (compatible; Bytespider)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; GPTBot/1.2; +https://openai.com/gptbot",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36",
    "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
    "python-requests/2.31.0",
    "Python/3.11 aiohttp/3.9.1",
    "Apache-HttpClient/4.5.13 (Java/11.0.20)",
    "Go-http-client/2.0",
    "curl/8.4.0",
]
PEOPLE = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
    "Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "[FBAN/FBIOS;FBAV/442.0.0.40.111;FBBV/538226123;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/16.0;FBSS/3]",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 12_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/16A366 "
    "AliApp(TB/8.0.0) WindVane/8.4.7 TTID/201200@taobao_iphone_8.0.0",
    "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/34.1244; U; en) Presto/2.8.119 Version/11.10",
    "Lynx/2.8.7rel.2 libwww-FM/2.14 SSL-MM/1.4.1 OpenSSL/1.0.1f",
    "okhttp/4.12.0",  # a shop's own app
]


def matches(user_agent: str) -> bool:
    query = "select regexp_matches(?, ?)"
    return duckdb.execute(query, [user_agent, default_vars()["bot_user_agents"]]).fetchone()[0]


@pytest.mark.parametrize("user_agent", PROGRAMS)
def test_a_program_is_seen(user_agent):
    assert matches(user_agent)


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_a_person_is_let_through(user_agent):
    assert not matches(user_agent)


def test_the_web_log_is_told_apart_as_by_eye(real_data):
    hits = pl.read_parquet(real_data("weblog") / "hits.parquet")["user_agent"].drop_nulls().value_counts()
    judged, flagged = (
        {agent: count for agent, count in hits.iter_rows() if judge(agent)} for judge in (is_crawler, matches)
    )
    assert len(judged) == 98
    both = sum(count for agent, count in flagged.items() if agent in judged)
    assert both > 0.99 * sum(judged.values()), judged.keys() - flagged.keys()
    assert both > 0.99 * sum(flagged.values()), flagged.keys() - judged.keys()
