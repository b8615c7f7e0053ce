#!/bin/sh
# Debian's server answers no other pod as long as it has no password; upstream's image turns that off, and what is written
# for it (`valkey-server --save "" --appendonly no`) expects so. Before all other arguments it would hide a configuration
# file, and after a question it would be an error.
case "${1:-}" in
    -v | --version | -h | --help | --check-system | --test-memory) exec /usr/bin/valkey-server "$@" ;;
esac
exec /usr/bin/valkey-server "$@" --protected-mode no
