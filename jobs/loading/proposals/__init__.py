"""Proposals of `nextmart init`: reads samples of files and proposes feeds and settings as a ``nextmart.toml``.

``samples`` and ``trials`` collect facts about files, ``feeds`` and ``settings`` draw conclusions from the facts, and
``toml_text`` writes the conclusions.
"""
