# Sound servers of our own, each with a loudspeaker and a microphone that are made of nothing: a null sink, and a null sink
# whose monitor is a microphone. Sourced by ./tests/sound/run, with tests/measure/lib.sh and functions die and say.
#
# A server is a folder. In it are its socket `native`, a `cookie`, and the identifiers of its processes in `pids`.

# Processes that were started for a server, in the order in which they are ended.
background() {
    local server=$1 log=$2
    shift 2
    "$@" >>"$server/$log.log" 2>&1 </dev/null &
    printf '%s\n' "$!" >>"$server/pids"
}

# within SERVER COMMAND…: runs a client of it; `become` is the same in place of the shell that runs it.
within() { (become "$@"); }
become() {
    local server=$1
    shift
    exec env -u PULSE_SINK -u PULSE_SOURCE PULSE_SERVER="unix:$server/native" PULSE_COOKIE="$server/cookie" \
        XDG_RUNTIME_DIR="$server" HOME="$server" "$@"
}

# serve KIND SERVER: starts a `pulseaudio` or a `pipewire`, which has no devices yet.
serve() {
    local kind=$1 server=$2 tries=200
    mkdir -p "$server"
    chmod 700 "$server"
    : >"$server/pids"
    # Anybody may connect, but a client without a cookie to show is thought to speak another protocol.
    head -c 256 /dev/zero >"$server/cookie"
    local environment=(env XDG_RUNTIME_DIR="$server" HOME="$server" PULSE_COOKIE="$server/cookie")
    case $kind in
        pulseaudio)
            printf 'load-module module-native-protocol-unix auth-anonymous=1 socket=%s\n' "$server/native" >"$server/default.pa"
            background "$server" pulseaudio "${environment[@]}" pulseaudio -n --daemonize=no --exit-idle-time=-1 --realtime=no \
                --use-pid-file=no -F "$server/default.pa"
            ;;
        pipewire)
            environment+=(DBUS_SESSION_BUS_ADDRESS="unix:path=$server/bus" XDG_STATE_HOME="$server/state" XDG_CONFIG_HOME="$server")
            background "$server" dbus dbus-daemon --session --nofork --nopidfile --address="unix:path=$server/bus"
            appears "$server/bus"
            background "$server" pipewire "${environment[@]}" pipewire
            appears "$server/pipewire-0"
            background "$server" wireplumber "${environment[@]}" wireplumber
            background "$server" pipewire-pulse "${environment[@]}" pipewire-pulse
            ln -sfn pulse/native "$server/native"
            ;;
    esac
    until within "$server" pactl info >/dev/null 2>&1; do
        [ "$((tries -= 1))" -gt 0 ] || die "$kind does not answer: $(tail -qn 1 "$server"/*.log | tr '\n' ' ')"
        sleep 0.05
    done
}

appears() {
    local tries=200
    until [ -S "$1" ]; do
        [ "$((tries -= 1))" -gt 0 ] || die "$1 did not appear"
        sleep 0.05
    done
}

# leave SERVER [SIGNAL]: ends it.
leave() {
    local server=$1 signal=${2:-TERM} pid
    while read -r pid; do
        kill "-$signal" "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done < <(tac "$server/pids")
    : >"$server/pids"
    rm -f "$server/bus" "$server/pipewire-0" "$server/pulse/native"
    [ -L "$server/native" ] || rm -f "$server/native"
}

# A rate that its clock counts in whole microseconds: null sinks of others run fast.
loudspeaker() { within "$1" pactl load-module module-null-sink sink_name="$2" rate=48000 sink_properties="device.description=$2"; }

# microphone SERVER NAME AIR: hears what is played to AIR, which is made if it is not there.
microphone() {
    within "$1" pactl list short sinks | cut -f 2 | grep -qx "$3" || loudspeaker "$1" "$3" >/dev/null
    within "$1" pactl load-module module-remap-source source_name="$2" master="$3.monitor" source_properties="device.description=$2"
}

# equip SERVER: a loudspeaker `speaker` and a microphone `mic` that hears `air`, both the defaults.
equip() {
    loudspeaker "$1" speaker >"$1/speaker.module"
    microphone "$1" mic air >"$1/mic.module"
    default_sink "$1" speaker
    default_source "$1" mic
}

# PipeWire takes a moment to know a device that was just made.
default_sink() { persist within "$1" pactl set-default-sink "$2"; }
default_source() { persist within "$1" pactl set-default-source "$2"; }
persist() {
    local tries=60
    until "$@" 2>/dev/null; do
        [ "$((tries -= 1))" -gt 0 ] || die "this failed again and again: $*"
        sleep 0.05
    done
}

# loudness SERVER SOURCE SECONDS: prints the root mean square of what is heard there.
loudness() {
    within "$1" timeout "$3" parec --raw --format=s16le --rate=48000 --channels=1 --latency-msec=20 -d "$2" 2>/dev/null |
        python3 -c 'import array, sys
pcm = array.array("h", sys.stdin.buffer.read()[: 1 << 24] + b"")
print(int((sum(x * x for x in pcm) / max(len(pcm), 1)) ** 0.5))'
}
