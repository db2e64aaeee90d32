"""Compiled loops: arrays in, arrays out. No files, no logging, no global state; importing compiles nothing."""
