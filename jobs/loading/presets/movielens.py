"""The preset for MovieLens, every edition from 100K to 32M: ratings are loaded as events, movies as items.

https://files.grouplens.org/datasets/movielens/
"""

from jobs.loading.presets.layout import Layout, Preset
from jobs.loading.sources import ReadOptions

_RATING_MAP = {
    "visitor_id": "user_id",
    "item_id": "movie_id",
    "event_at": "rated_at",
    "event_type": "'rating'",
}
_RATING_COLUMNS = ("user_id", "movie_id", "rating", "rated_at")
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_GENRE_COLUMNS = tuple(f"genre_{number}" for number in range(len(_GENRES)))
_GENRE_NAMES = ", ".join(
    "case genre_{} when '1' then '{}' end".format(number, name.replace("'", "''"))
    for number, name in enumerate(_GENRES)
    if name != "unknown"
)


def _category_sql(genres: str) -> str:
    return f"nullif(replace({genres}, '|', ' > '), '(no genres listed)')"


MOVIELENS = Preset(
    "movielens",
    "MovieLens",
    (
        Layout(
            table="events",
            usual_name="ratings.csv",
            needs=("userId", "movieId", "rating", "timestamp"),
            columns=_RATING_MAP | {"visitor_id": '"userId"', "item_id": '"movieId"', "event_at": '"timestamp"'},
        ),
        Layout(
            table="events",
            usual_name="ratings.dat",
            needs=_RATING_COLUMNS,
            columns=_RATING_MAP,
            first_line=r"\d+::\d+::[0-9.]+::\d+",
            options=ReadOptions(delimiter="::", columns=_RATING_COLUMNS),
        ),
        Layout(
            table="events",
            usual_name="u.data",
            needs=_RATING_COLUMNS,
            columns=_RATING_MAP,
            first_line=r"\d+\t\d+\t[1-5]\t\d{9}",
            options=ReadOptions(delimiter="\t", columns=_RATING_COLUMNS),
        ),
        Layout(
            table="items",
            usual_name="movies.csv",
            needs=("movieId", "title", "genres"),
            columns={"item_id": '"movieId"', "title": "title", "category": _category_sql("genres")},
        ),
        Layout(
            table="items",
            usual_name="movies.dat",
            needs=("movie_id", "title", "genres"),
            columns={"item_id": "movie_id", "title": "title", "category": _category_sql("genres")},
            first_line=r"\d+::(?:(?!::).)+::[^:]+",
            options=ReadOptions(encoding="latin-1", delimiter="::", columns=("movie_id", "title", "genres")),
        ),
        Layout(
            table="items",
            usual_name="u.item",
            needs=("movie_id", "title", *_GENRE_COLUMNS),
            columns={
                "item_id": "movie_id",
                "title": "title",
                "category": f"nullif(concat_ws(' > ', {_GENRE_NAMES}), '')",
            },
            first_line=r"\d+\|[^|]*\|[^|]*\|[^|]*\|[^|]*(?:\|[01]){19}",
            options=ReadOptions(
                encoding="latin-1",
                delimiter="|",
                columns=("movie_id", "title", "released_on", "video_released_on", "imdb_url", *_GENRE_COLUMNS),
            ),
        ),
    ),
)
