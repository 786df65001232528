"""The jobs of a night: train, evaluate, recommend and place.

They decide which model families are trained again, which model is live (makes the recommendations), which visitors are
in the control of an experiment (``arms``), and which visitors get new lists, in placements too.

May import ``core``, ``warehouse``, ``loading``, ``services``, ``embedding``, ``training``, ``language_models``,
``models``, ``evaluation`` and ``placements``.
"""
