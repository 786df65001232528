"""Presets: settings that load the files of well-known programs and data sets. Each module here defines one preset."""
