"""LLMSeqPrompt: a language model that is told a sequence in words, and answers with items in words."""
