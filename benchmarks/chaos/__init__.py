"""The campaign: a simulated shop lives through years of nights on which things go wrong, and nothing may be lost.

Run: ``python -m benchmarks.chaos --nights 1000 --seed 0``. Each night of a history is drawn from the seed: the feeds
that arrive, and the faults that happen (:mod:`benchmarks.chaos.history`). nextmart's own commands run on it in
processes whose files, disk and clock the campaign can disturb (``interposer.c``). After each night that ended well, all
tables are compared with those that plain Python and a full refresh make of the same rows, and the published file with
the rules. The campaign stops at the first broken rule, and prints the seed with the smallest history that breaks it.
``python -m benchmarks.soak`` is the same shop without any fault, watched for growth.
"""
