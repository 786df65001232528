"""The report: one HTML file about the warehouse and its publication, which a browser shows without a network.

``reading`` reads small, aggregated data frames from the warehouse. ``overview``, ``people`` and the modules named
``…_sections`` turn the frames into parts of the page (``parts``), and ``charts`` turns them into drawings, without the
warehouse. ``page`` fills the template, ``report`` writes the file, and ``night`` calls it after a night.

May import ``commands``, what ``commands`` may import, and the modules directly in ``jobs``, such as ``errors``.
"""
