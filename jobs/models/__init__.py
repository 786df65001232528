"""Model families behind one interface (``base.Model``), found by name in ``registry``."""
