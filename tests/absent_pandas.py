"""An answer at once that pandas is absent, where it is.

DuckDB imports pandas for each parameter of a statement, and doesn't remember that there is none. So each time Python
searches the folders of all modules, which takes longer than a small statement.
"""

import importlib.util
import sys
from types import ModuleType


class AbsentPandas:
    """A finder of modules that ends each import of pandas, and leaves those alone who only ask whether there is one."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: ModuleType | None = None) -> None:
        """Raise ModuleNotFoundError if Python imports pandas, not if the caller is ``importlib.util.find_spec``."""
        if name == "pandas" and sys._getframe(2).f_code.co_name == "_find_and_load_unlocked":
            raise ModuleNotFoundError("No module named 'pandas'", name="pandas")


if AbsentPandas not in sys.meta_path and importlib.util.find_spec("pandas") is None:
    sys.meta_path.insert(0, AbsentPandas)
