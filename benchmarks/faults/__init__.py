"""The same faults for every system, in its own environment and with the safe settings that it documents."""
