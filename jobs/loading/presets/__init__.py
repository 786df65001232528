"""Presets: settings that load the files of well-known programs and data sets, in one module for each program or set."""
