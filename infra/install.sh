#!/bin/sh
# Makes or updates ROOT/.venv from ROOT/LOCK. Called by ./tulle; every failure is one sentence and status 1.
set -eu
root=$1 lock=$2 venv=$1/.venv

fail() {
    printf '\342\234\227 %s\n' "$1" >&2
    exit 1
}

suitable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    if [ -n "${TULLE_PYTHON:-}" ] && ! suitable "$TULLE_PYTHON"; then
        fail "TULLE_PYTHON is $TULLE_PYTHON, which is no Python 3.11 or newer; set it to one, or unset it."
    fi
    for name in ${TULLE_PYTHON:+"$TULLE_PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && suitable "$name"; then
            command -v "$name"
            return
        fi
    done
    fail "Tulle needs Python 3.11 or newer, and none is on the PATH; install one, or set TULLE_PYTHON to it."
}

# Two at once: the second waits for the first and finds its work done. Whoever is gone, or does not say within
# three seconds who it is, is waited for no longer.
tries=0
until mkdir "$root/.venv.lock" 2>/dev/null; do
    [ -w "$root" ] || fail "$root cannot be written; clone to a folder that can."
    owner=$(cat "$root/.venv.lock/pid" 2>/dev/null || true)
    if { [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; } || { [ -z "$owner" ] && [ "$tries" -ge 3 ]; }; then
        rm -rf "$root/.venv.lock"
    fi
    [ "$tries" -ne 1 ] || printf 'Waiting for another ./tulle that makes .venv\n' >&2
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || fail "Another ./tulle has been installing for 10 minutes; if there is none, remove $root/.venv.lock."
    sleep 1
done
echo $$ >"$root/.venv.lock/pid"
trap 'rm -rf "$root/.venv.lock"' EXIT
trap 'exit 130' INT TERM
cmp -s "$root/$lock" "$venv/$lock.installed" && exit 0

log=$root/.venv.log
if ! [ -x "$venv/bin/python" ] || ! suitable "$venv/bin/python"; then
    python=$(find_python) || exit 1
    rm -rf "$venv"
    printf 'Making .venv with %s\n' "$("$python" --version)" >&2
    "$python" -m venv "$venv" >"$log" 2>&1 || {
        rm -rf "$venv"
        said=$(cat "$log")
        rm -f "$log"
        case $said in *ensurepip* | *"No module named"*venv*)
            fail "This Python comes without venv; on Debian and Ubuntu: apt-get install python3-venv. Then try again." ;;
        esac
        fail "$(printf '%s\n' "$said" | tail -n 1)"
    }
fi

installer() {
    # uv itself comes from the lock, by its hash; then it installs everything else in parallel.
    sed -n '/^uv==/,/^[a-z].*==/p' "$root/requirements.lock" | sed '1!{/^[a-z]/d;}' >"$venv/uv.lock"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$venv/uv.lock"
}

printf 'Installing %s packages from %s\n' "$(grep -c '^[a-z].*==' "$root/$lock")" "$lock" >&2
{
    [ -x "$venv/bin/uv" ] || installer
    index=$("$venv/bin/python" -m pip config get global.index-url 2>/dev/null || true)
    UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-${PIP_INDEX_URL:-$index}}}
    if [ -n "$UV_DEFAULT_INDEX" ]; then export UV_DEFAULT_INDEX; else unset UV_DEFAULT_INDEX; fi
    "$venv/bin/uv" pip install --python "$venv/bin/python" --require-hashes -r "$root/$lock"
} >"$log" 2>&1 || fail "The packages could not be installed: $({ grep -iE '^ *(error|×)' "$log" || grep -v '^ *$' "$log" | tail -n 1; } | head -n 1) (all of it: $log)"

# So that every Python of this environment finds the project and its generated stubs.
for site in "$venv"/lib/python3.*/site-packages; do
    printf '%s\n' '../../../..' '../../../../codegen/gen' >"$site/tulle.pth"
done
cp "$root/$lock" "$venv/$lock.installed"
rm -f "$log"
