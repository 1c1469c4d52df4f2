# The shell in which tests run the commands of a document: servers run in the background until the next one of their
# program, and a run of the suite is a quick one of the cases that SELECTION names, unless it names its own cases. Some
# options are added to others, too: a client is tried in one situation, and the load is light.
# A step that fails ends the session with the step's line.
set -euo pipefail
trap 'echo "failed: $BASH_COMMAND" >&2' ERR
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
python -c 'import fcntl, socket, struct
up = struct.pack("16sh", b"lo", 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
fcntl.ioctl(socket.socket(), 0x8914, up)  # SIOCSIFFLAGS: the network of the session has a loopback interface only'
logs=$(mktemp -d)
mkfifo "$logs/open"
exec 9<>"$logs/open" # a standard input that stays open

serve() { # PROGRAM READY COMMAND ...: end the server of this program, start another, and wait until it prints READY
    local program=$1 ready=$2
    shift 2
    if [ -e "$logs/$program.pid" ]; then
        kill "$(<"$logs/$program.pid")" 2>/dev/null || true
        tail -f /dev/null --pid "$(<"$logs/$program.pid")"
    fi
    : >"$logs/$program" # it exists before it is read
    command "$@" <&9 >>"$logs/$program" 2>&1 &
    echo $! >"$logs/$program.pid"
    if ! timeout 60 grep -q "$ready" < <(tail -n +1 -f "$logs/$program" --pid $!); then
        cat "$logs/$program" >&2
        return 1
    fi
}

cbspec() {
    case "$*" in
    "simulate --list"* | *" --help") command cbspec "$@" ;;
    simulate* | tap*) serve "$1" '^{\|^CA file' cbspec "$@" ;;
    verify\ *" --own-cases"* | verify\ *" --only "*" --baseline "*) command cbspec verify --effort quick "${@:2}" ;;
    verify\ *) command cbspec verify --effort quick ${SELECTION:+-k "$SELECTION"} "${@:2}" ;;
    verify-client\ *) command cbspec verify-client --effort quick "${@:2}" ;;
    load\ *) command cbspec load --rate 50 --hold 1 "${@:2}" ;;
    *) command cbspec "$@" ;;
    esac
}

pytest() {
    case "$*" in
    conformance/client*) command pytest "$@" --situation auth-invalid_token ;;
    *" --own-cases"*) command pytest "$@" --effort quick ;;
    conformance/*) command pytest "$@" --effort quick ${SELECTION:+-k "$SELECTION"} ;;
    *) command pytest "$@" ;;
    esac
}

curl() { command curl --fail --silent --show-error "$@"; }

prometheus() { serve prometheus "Server is ready" prometheus "$@"; }

settle() { # Wait for the commands that a block started in the background; servers go on.
    local job
    for job in $(jobs -p); do
        grep -qx "$job" "$logs"/*.pid || wait "$job"
    done
}

expect() { # CODE COMMAND ...: run a command that ends with this exit code
    local wanted=$1 code=0
    shift
    "$@" || code=$?
    [ "$code" = "$wanted" ] || { echo "exit code $code, not $wanted: $*" >&2; return 1; }
}
