"""The language model's side: vocabulary, chat, tuning."""
