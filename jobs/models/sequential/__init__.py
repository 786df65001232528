"""Sequence models trained by gradient: BERT4Rec, SASRec and GRU4Rec, each with random or LLM-based item vectors."""
