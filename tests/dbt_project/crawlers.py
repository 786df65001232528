"""Who in the web log is a program, judged by eye, user agent by user agent: what the pattern is held against.

A feed reader counts as one: it asks by the clock, whether or not somebody reads. Who can't be told (no name, "Mozilla",
a proxy that fetches for somebody) counts as a person.
"""

NAMES = """
    360Spider; AhrefsBot; archive.org_bot; Baiduspider; BeetleBot; bingbot; binlar; changedetection.com; Daumoa;
    EasouSpider; Exabot; Ezooms; Googlebot; ia_archiver; LumiBot; magpie-crawler; Mail.RU_Bot; MJ12bot; MojeekBot;
    msnbot; nutch; psbot; Robosourcer; SiteExplorer; Sogou web spider; Spinn3r; VoilaBot; Yahoo! Slurp; YandexBot;
    YandexDirect; YandexImages; YisouSpider
    BingPreview; Embedly; facebookexternalhit; Flipboard; Genieo; Google favicon; Google Web Preview; IrssiUrlLog;
    Twitterbot
    CommaFeed; Digg Feed Fetcher; FeedBurner; Feedbin; Feedfetcher-Google; Feedly; Liferea; LiveJournal.com; Newsify;
    Reeder; SimplePie; Superblock; theoldreader; Tiny Tiny RSS; UniversalFeedParser
    Chef Client; curl; distilator; HTTP_Request2; Indy Library; libfetch; Link Validator; LWP::Simple; PhantomJS;
    portscout; Python-urllib; python-requests; Ruby; Safari/537.36 slurp; Wget; Xenu Link Sleuth
"""
CRAWLERS = [name.strip() for line in NAMES.strip().splitlines() for name in line.split(";") if name.strip()]


def is_crawler(user_agent: str | None) -> bool:
    return user_agent is not None and any(name in user_agent for name in CRAWLERS)
