"""The campaign: simulate nightly runs of a shop with faults such as kills and full disks; no data may be lost.

Run: ``python -m benchmarks.chaos --nights 1000 --seed 0``. The faults of each night are drawn from the seed; the nights
with their faults are called a history (:mod:`benchmarks.chaos.history`). Each night, nextmart's own commands run in
processes whose file system and clock the campaign can disturb (``interposer.c``). After each night that ended well, the
tables are compared with those that plain Python makes of the same rows, and every few nights with those of a full
refresh. The published file is checked against rules. The campaign stops at the first broken rule, and prints the seed
with the smallest history that breaks it. ``python -m benchmarks.soak`` simulates the same shop without faults, and
looks for growing times and files.
"""
