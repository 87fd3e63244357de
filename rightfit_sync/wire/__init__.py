"""The wire: messages, their encodings, and the signed cursor."""
