"""Inside the model: where thinking weakens refusal, and what reasoning training overwrote."""
