"""The consent routes: what visitors ask for and post."""
