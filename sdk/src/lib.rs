//! For authors of thinkube plugins: typed builders, one export macro, a native test kit.
