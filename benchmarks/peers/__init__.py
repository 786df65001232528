"""One epoch of SASRec and of BERT4Rec, here and in public packages, each run by an interpreter of its own."""
