"""Sequence models that are trained by gradient: BERT4Rec, SASRec and GRU4Rec, each without and with LLM embeddings."""
