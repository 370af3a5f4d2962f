"""Places of addresses: databases and what their records say, names of regions and cities, bringing a newer file."""
