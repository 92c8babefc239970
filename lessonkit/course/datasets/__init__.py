"""The data sets that come with the course, or by download."""
