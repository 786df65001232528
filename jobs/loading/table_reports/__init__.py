"""Measures the report of a source, in a module for each raw table; ``measurements`` has what these modules share."""
