"""LLMSeqPrompt: a fine-tuned language model that names the next item (arXiv 2309.09261, section 3.2)."""
