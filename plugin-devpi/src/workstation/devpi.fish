# DevPI of this platform. Written by thinkube-host; `thinkube-host workstation remove` removes it.
set -gx DEVPI_URL '${api}'

function devpi --description 'The DevPI client'
    $HOME/.local/bin/devpi $argv
end

function devpi-env --description 'Show the addresses of DevPI'
    echo "DEVPI_URL=$DEVPI_URL"
    echo 'index:     ${api}/${index}'
    echo 'dashboard: ${dashboard}/'
    devpi use
end

function devpi-init-admin --description 'Create the user ${user} and its index; asks for the passwords'
    $HOME/devpi-scripts/devpi-init-admin.sh
end

function devpi-upload-pkg --description 'Upload a package' --argument-names package
    if test (count $argv) -ne 1
        echo 'usage: devpi-upload-pkg PATH' >&2
        return 1
    end
    if not test -f $package
        echo "$package is not a file" >&2
        return 1
    end
    # `devpi use` also succeeds without a login, so its output is checked.
    if not devpi use | string match --quiet --regex 'logged in as'
        echo 'log in first: devpi use ${api}/${index}; devpi login root' >&2
        return 1
    end
    devpi upload $package
end
