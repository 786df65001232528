"""The report: one HTML file about the warehouse and its publication, to be looked at without a network.

``reading`` reads small, aggregated frames from the warehouse. ``overview`` and the modules named ``…_sections`` turn
frames into what the page shows, ``charts`` into drawings; both are pure. ``page`` fills the template, and ``report``
writes the file.
"""
