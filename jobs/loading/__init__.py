"""Files in the formats that people have, read as rows of the raw tables' columns.

May import ``warehouse``, ``core``, and the modules beside these folders.
"""
