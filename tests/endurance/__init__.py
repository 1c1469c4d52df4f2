"""What takes minutes: a crowd that stays while the suite runs, and a soak. Short forms of both are tests."""
