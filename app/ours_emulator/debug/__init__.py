"""The debug API: one module per resource."""
