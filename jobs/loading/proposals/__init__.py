"""Makes the proposals of `nextmart init`: reads samples of files, and proposes a ``nextmart.toml`` that loads them.

``samples`` and ``trials`` collect facts about the files, ``feeds`` and ``settings`` propose feeds and settings from the
facts, and ``toml_text`` writes the proposals as TOML.
"""
