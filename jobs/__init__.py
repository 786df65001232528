"""nextmart: next-item recommendation tables from a warehouse's own events and catalogue."""
