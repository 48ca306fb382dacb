"""What writes to any database: loads what requests mention, saves what became of them, evicts and removes."""
