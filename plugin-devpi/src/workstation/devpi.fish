# DevPI of this platform. Made by thinkube-host; `thinkube-host workstation remove` takes it back.
set -gx DEVPI_URL '${api}'

function devpi --description 'The DevPI client'
    $HOME/.local/bin/devpi $argv
end

function devpi-env --description 'Show where DevPI is'
    echo "DEVPI_URL=$DEVPI_URL"
    echo 'index:     ${api}/${index}'
    echo 'dashboard: ${dashboard}/'
    devpi use
end

function devpi-init-admin --description 'Make the user ${user} and its index; asks for the passwords'
    $HOME/devpi-scripts/devpi-init-admin.sh
end

function devpi-upload-pkg --description 'Upload a package' --argument-names package
    if test (count $argv) -ne 1
        echo 'usage: devpi-upload-pkg PATH' >&2
        return 1
    end
    if not test -f $package
        echo "$package is no file" >&2
        return 1
    end
    # `devpi use` ends well for who is not logged in too, so it is asked what it says.
    if not devpi use | string match --quiet --regex 'logged in as'
        echo 'log in first: devpi use ${api}/${index}; devpi login root' >&2
        return 1
    end
    devpi upload $package
end
