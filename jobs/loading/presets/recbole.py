"""The preset for RecBole's atomic files, whose headers name the type of each column, as in ``item_id:token``.

https://recbole.io/docs/user_guide/data/atomic_files.html
"""

from jobs.loading.presets.layout import FileLayout, Preset

_TITLES = ("title:token_seq", "title:token", "movie_title:token_seq", "item_name:token_seq", "name:token_seq")
_BRANDS = ("brand:token", "brand:token_seq")
_CATEGORIES = ("categories:token_seq", "category:token_seq", "category:token", "genre:token_seq", "class:token_seq")


def _first_value_sql(column_names: tuple[str, ...]) -> str:
    """Return the SQL of the first value that is not null in the given columns."""
    quoted_names = ", ".join(f'"{name}"' for name in column_names)
    return f"coalesce({quoted_names})"


def _interactions_layout(time_column: str) -> FileLayout:
    return FileLayout(
        table="events",
        usual_file_name=".inter",
        required_columns=("user_id:token", "item_id:token", time_column),
        optional_columns=("session_id:token",),
        column_map={
            "visitor_id": '"user_id:token"',
            "item_id": '"item_id:token"',
            "event_at": f'"{time_column}"',
            "event_type": "'interaction'",
            "source_session_id": '"session_id:token"',
        },
    )


RECBOLE = Preset(
    "recbole",
    "RecBole, atomic files",
    (
        _interactions_layout("timestamp:float"),
        _interactions_layout("timestamp:token"),
        FileLayout(
            table="items",
            usual_file_name=".item",
            required_columns=("item_id:token",),
            optional_columns=(*_TITLES, *_BRANDS, *_CATEGORIES, "description:token_seq", "price:float"),
            column_map={
                "item_id": '"item_id:token"',
                "title": _first_value_sql(_TITLES),
                "brand": _first_value_sql(_BRANDS),
                "category": _first_value_sql(_CATEGORIES),
                "description": '"description:token_seq"',
                "price": '"price:float"',
            },
        ),
    ),
)
