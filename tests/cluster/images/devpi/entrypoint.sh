#!/bin/sh
# Starts devpi-server on the folder $DEVPISERVER_SERVERDIR, which it makes and initialises when need be.
#
#   DEVPISERVER_ROOT_PASSWD  root's password; devpi-init reads it itself, on the first start only
#   DEVPI_OUTSIDE_URL        the address that clients see
#   DEVPI_TRUSTED_PROXY      the one proxy address whose forwarded headers are believed
#   DEVPI_EXTRA_ARGS         more arguments for devpi-server, split at blanks
set -eu

dir=${DEVPISERVER_SERVERDIR:-/data/devpi}
export DEVPISERVER_SERVERDIR="$dir"

# The server refuses a folder or a secret that others may read. A folder that belongs to somebody else (the mount point
# of a volume) can't be changed and needn't be: the server then says itself what is wrong.
if [ ! -d "$dir" ]; then
    mkdir -p -m 700 "$dir"
elif [ -O "$dir" ]; then
    chmod 700 "$dir"
fi

if [ ! -e "$dir/.serverversion" ]; then
    devpi-init
fi

if [ ! -s "$dir/secret" ]; then
    (umask 077 && head -c 48 /dev/urandom | base64 -w 0 > "$dir/secret.new")
    mv "$dir/secret.new" "$dir/secret"
fi
chmod 600 "$dir/secret"

set -- --host 0.0.0.0 --port 3141 --secretfile "$dir/secret"
if [ -n "${DEVPI_OUTSIDE_URL:-}" ]; then
    set -- "$@" "--outside-url=$DEVPI_OUTSIDE_URL"
fi
if [ -n "${DEVPI_TRUSTED_PROXY:-}" ]; then
    set -- "$@" "--trusted-proxy=$DEVPI_TRUSTED_PROXY"
fi

export PYTHONUNBUFFERED=1
# Unquoted on purpose: the variable holds several arguments.
exec devpi-server "$@" ${DEVPI_EXTRA_ARGS:-}
