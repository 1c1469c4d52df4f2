"""The relay's configuration: data, TOML files, ready-made scenarios, key sets."""
