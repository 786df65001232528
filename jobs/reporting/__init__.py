"""The report: one HTML file about the warehouse and its publication, which a browser shows without a network.

``report_queries`` reads small, aggregated data frames from the warehouse. ``overview``, ``visitors_and_items`` and the
modules named ``…_sections`` turn the frames into parts of the page (``page_parts``), and ``charts`` turns them into
drawings; none of these reads the warehouse. ``page`` fills the template, ``report`` writes the file, and
``nightly_report`` calls ``report`` after a night.

May import ``commands``, what ``commands`` may import, and the modules directly in ``jobs``, such as ``errors``.
"""
