"""LLMSeqPrompt: a fine-tuned language model that is asked for the next item's name (arXiv 2309.09261, section 3.2)."""
