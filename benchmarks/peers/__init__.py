"""Timing of one epoch of SASRec and BERT4Rec in nextmart and in public packages, each run by its own interpreter."""
