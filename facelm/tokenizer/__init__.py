"""The motion tokenizer: motion to codes and back."""
