"""The preset for MovieLens, in every edition from 100K to 32M: ratings become events, and movies become items.

https://files.grouplens.org/datasets/movielens/
"""

from jobs.loading.presets.layout import FileLayout, Preset
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


def _category_sql(genres_column: str) -> str:
    """Return the SQL of a category such as ``Comedy > Romance`` from genres such as ``Comedy|Romance``."""
    return f"nullif(replace({genres_column}, '|', ' > '), '(no genres listed)')"


MOVIELENS = Preset(
    "movielens",
    "MovieLens",
    (
        FileLayout(
            table="events",
            usual_file_name="ratings.csv",
            required_columns=("userId", "movieId", "rating", "timestamp"),
            column_map=_RATING_MAP | {"visitor_id": '"userId"', "item_id": '"movieId"', "event_at": '"timestamp"'},
        ),
        FileLayout(
            table="events",
            usual_file_name="ratings.dat",
            required_columns=_RATING_COLUMNS,
            column_map=_RATING_MAP,
            first_line_pattern=r"\d+::\d+::[0-9.]+::\d+",
            read_options=ReadOptions(delimiter="::", columns=_RATING_COLUMNS),
        ),
        FileLayout(
            table="events",
            usual_file_name="u.data",
            required_columns=_RATING_COLUMNS,
            column_map=_RATING_MAP,
            first_line_pattern=r"\d+\t\d+\t[1-5]\t\d{9}",
            read_options=ReadOptions(delimiter="\t", columns=_RATING_COLUMNS),
        ),
        FileLayout(
            table="items",
            usual_file_name="movies.csv",
            required_columns=("movieId", "title", "genres"),
            column_map={"item_id": '"movieId"', "title": "title", "category": _category_sql("genres")},
        ),
        FileLayout(
            table="items",
            usual_file_name="movies.dat",
            required_columns=("movie_id", "title", "genres"),
            column_map={"item_id": "movie_id", "title": "title", "category": _category_sql("genres")},
            first_line_pattern=r"\d+::(?:(?!::).)+::[^:]+",
            read_options=ReadOptions(encoding="latin-1", delimiter="::", columns=("movie_id", "title", "genres")),
        ),
        FileLayout(
            table="items",
            usual_file_name="u.item",
            required_columns=("movie_id", "title", *_GENRE_COLUMNS),
            column_map={
                "item_id": "movie_id",
                "title": "title",
                "category": f"nullif(concat_ws(' > ', {_GENRE_NAMES}), '')",
            },
            first_line_pattern=r"\d+\|[^|]*\|[^|]*\|[^|]*\|[^|]*(?:\|[01]){19}",
            read_options=ReadOptions(
                encoding="latin-1",
                delimiter="|",
                columns=("movie_id", "title", "released_on", "video_released_on", "imdb_url", *_GENRE_COLUMNS),
            ),
        ),
    ),
)
