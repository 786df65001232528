"""Proposals of `nextmart init`: what files seem to hold, with the evidence, as the text of a ``nextmart.toml``.

What is seen in files (``samples``, ``trials``) is kept apart from what is concluded (``feeds``, ``settings``) and from
how that is written (``toml_text``).
"""
