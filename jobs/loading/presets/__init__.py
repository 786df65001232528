"""Presets: how files of well-known programs and data sets become rows of the raw tables. Each file has one preset."""
