"""nextmart: next-item recommendation tables from a warehouse's own events and catalogue."""

import os

# Idle OpenMP threads sleep instead of spinning; the variable must be set before torch is imported anywhere. On cores
# shared with other work (2 cores, 3 busy processes), spinning made a training epoch five times slower; on a machine
# with no other work, spinning gains little.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
