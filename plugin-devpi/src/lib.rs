//! DevPI, a private Python package index, as a thinkube plugin.
