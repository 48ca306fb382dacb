"""The OpenAPI document of everything the emulator serves, and the page that shows it."""
