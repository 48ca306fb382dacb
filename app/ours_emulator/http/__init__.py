"""The HTTP side: server, guard, routes, and the emulated endpoints on the wire."""
