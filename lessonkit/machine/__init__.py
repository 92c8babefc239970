"""What training runs on, and what the reader sees of its progress."""
