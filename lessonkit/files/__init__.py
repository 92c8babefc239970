"""What is kept on disk: the cache, and files that are whole or not there."""
