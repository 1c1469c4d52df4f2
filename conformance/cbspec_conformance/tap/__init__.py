"""The tap: between a real client and a real relay, it passes bytes on, records them, and judges both sides."""
