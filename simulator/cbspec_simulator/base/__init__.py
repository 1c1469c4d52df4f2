"""Parts that every other group uses: counters, clocks, events, checked values."""
