"""Personal data that leaks into URLs, found and replaced by what it was."""
