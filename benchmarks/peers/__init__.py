"""Timing one epoch of SASRec and BERT4Rec in nextmart and in other packages, each in its own virtual environment."""
