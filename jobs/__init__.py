"""nextmart: next-item recommendation tables from a warehouse's own events and catalogue."""

import os

# Before torch is imported anywhere: idle OpenMP threads sleep instead of spinning. On a core shared with other work
# (2 cores, 3 busy processes) spinning made a training epoch five times slower; on a quiet machine it gains little.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
