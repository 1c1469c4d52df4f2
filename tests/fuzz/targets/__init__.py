"""The targets: functions that raise if an input breaks a promise, in modules by kind."""
