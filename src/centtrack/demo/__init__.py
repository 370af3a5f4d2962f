"""`centtrack demo`: the example site under uvicorn, with traffic, for a first look."""
