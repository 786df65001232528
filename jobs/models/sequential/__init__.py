"""Sequence models trained by gradient descent: BERT4Rec, SASRec, GRU4Rec, and versions with LLM-based item vectors."""
