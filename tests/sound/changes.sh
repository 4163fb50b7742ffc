# What happens to devices in the middle of a call, and what has to come of it. Sourced by ./tests/sound/run.
#
# The called side, b, has a loudspeaker, a second one, and a microphone. All of the call the caller speaks, and so does b.

# What is said of devices at b, by role: how often so far, and the newest.
changes() { grep -c "\"device-changed\".*\"role\":\"$1\"" "$directory/b.events" || true; }
newest() { grep "\"device-changed\".*\"role\":\"$1\"" "$directory/b.events" | tail -n 1 | sed 's/.*"device":\("[^"]*"\|null\).*/\1/; s/"//g'; }

step=''
tenths() { echo $((${EPOCHREALTIME/./} / 100000)); }
passed() {
    local took=$(($(tenths) - started))
    printf '%3d.%d s  %s\n' $((took / 10)) $((took % 10)) "$step" | tee -a "$directory/steps"
}
begin() { step=$1 started=$(tenths) before_source=$(changes audio-source) before_sink=$(changes audio-sink); }

# says ROLE DEVICE SECONDS: since the step began, b says that it uses this device now, or null.
says() {
    local tries=$(($3 * 20)) before=$before_sink
    [ "$1" = audio-sink ] || before=$before_source
    until [ "$(changes "$1")" -gt "$before" ] && [ "$(newest "$1")" = "$2" ]; do
        if [ "$((tries -= 1))" -le 0 ]; then
            fail "$step: b does not say within $3 s that its $1 is $2: the newest is $(newest "$1"), of $(($(changes "$1") - before))"
            return 1
        fi
        sleep 0.05
    done
}

# hears SERVER SOURCE SECONDS: there is sound; `silent` there is none. Both look again until it is so.
hears() { heard "$1" "$2" "$3" -ge 100; }
silent() { heard "$1" "$2" "$3" -lt 100; }
heard() {
    local until=$((SECONDS + $3)) level=''
    while [ "$SECONDS" -lt "$until" ]; do
        level=$(loudness "$1" "$2" 2)
        [ "$level" "$4" "$5" ] && return 0
    done
    fail "$step: $2 is at $level, not $4 $5"
    return 1
}

alive() { kill -0 "$caller" 2>/dev/null && kill -0 "$called" 2>/dev/null || { fail "$step: the call has ended"; return 1; }; }

# speak SIDE: somebody does, from now on and for as long as the server runs.
speak() {
    become "$directory/server-$1" sh -c "while pactl info; do paplay --latency-msec=20 -d air '$files/$1.wav' || sleep 0.2; done" \
        >/dev/null 2>&1 &
}

# connections SERVER: clients that the server has.
connections() { within "$1" pactl list short clients | grep -c "cpal\|visavis" || true; }

run_changes() {
    kind=$1
    fresh "changes-$kind"
    : >"$directory/steps"
    local side a=$directory/server-a b=$directory/server-b
    for side in a b; do
        serve "$kind" "$directory/server-$side"
        equip "$directory/server-$side"
    done
    loudspeaker "$b" other >/dev/null
    call 300 "--audio default --audio-out default" "--audio default --audio-out default"
    for side in a b; do speak "$side"; done
    follow_default
    call_ends
    call 120 "--audio default --audio-out default" "--audio mic --audio-out speaker"
    follow_names
    call_ends
}

follow_names() {
    begin "with devices by their names: sound goes both ways"
    hears "$b" speaker.monitor 10 && hears "$a" speaker.monitor 10 && passed || return 0
    default_sink "$b" other
    begin "the loudspeaker of that name is unplugged: the default takes its place"
    within "$b" pactl unload-module "$(cat "$b/speaker.module")"
    says audio-sink default 8 && hears "$b" other.monitor 8 && alive && passed || return 0
    begin "it is plugged in again"
    loudspeaker "$b" speaker >"$b/speaker.module"
    says audio-sink speaker 8 && hears "$b" speaker.monitor 8 && alive && passed || return 0
    begin "the microphone of that name is unplugged, and another one is there"
    microphone "$b" second air >/dev/null
    default_source "$b" second
    within "$b" pactl unload-module "$(cat "$b/mic.module")"
    says audio-source default 8 && hears "$a" speaker.monitor 8 && alive && passed || return 0
    begin "it is plugged in again"
    microphone "$b" mic air >"$b/mic.module"
    says audio-source mic 8 && hears "$a" speaker.monitor 8 && alive && passed || return 0
}

follow_default() {
    local count
    begin "sound goes both ways"
    hears "$b" speaker.monitor 10 && hears "$a" speaker.monitor 10 && passed || return 0

    begin "another loudspeaker becomes the default"
    default_sink "$b" other
    says audio-sink default 6 && hears "$b" other.monitor 6 && alive && passed || return 0
    begin "and the first one again"
    default_sink "$b" speaker
    says audio-sink default 6 && hears "$b" speaker.monitor 6 && alive && passed || return 0

    begin "the microphone is unplugged: they hear nothing, and not themselves either"
    within "$b" pactl unload-module "$(cat "$b/mic.module")"
    says audio-source null 8 && silent "$a" speaker.monitor 10 && alive && passed || return 0
    begin "it is plugged in again"
    microphone "$b" mic air >"$b/mic.module"
    default_source "$b" mic
    says audio-source default 12 && hears "$a" speaker.monitor 8 && alive && passed || return 0

    begin "another microphone becomes the default"
    microphone "$b" second air >"$b/second.module"
    default_source "$b" second
    says audio-source default 6 && hears "$a" speaker.monitor 8 && alive && passed || return 0
    begin "it is unplugged: the first takes its place"
    within "$b" pactl unload-module "$(cat "$b/second.module")"
    says audio-source default 8 && hears "$a" speaker.monitor 8 && alive && passed || return 0

    # Which one that is, is the server's choice.
    begin "the loudspeaker is unplugged: another takes its place"
    within "$b" pactl unload-module "$(cat "$b/speaker.module")"
    says audio-sink default 8 && hears "$b" @DEFAULT_MONITOR@ 8 && alive && passed || return 0
    begin "it is plugged in again and made the default"
    loudspeaker "$b" speaker >"$b/speaker.module"
    default_sink "$b" speaker
    says audio-sink default 8 && hears "$b" speaker.monitor 8 && alive && passed || return 0

    begin "the sound server is killed"
    leave "$b" KILL
    says audio-source null 8 && says audio-sink null 8 && silent "$a" speaker.monitor 8 && alive && passed || return 0
    begin "it is started again"
    serve "$kind" "$b"
    equip "$b"
    loudspeaker "$b" other >/dev/null
    speak b
    says audio-source default 15 && says audio-sink default 15 && hears "$a" speaker.monitor 10 &&
        hears "$b" speaker.monitor 10 && alive && passed || return 0

    begin "the server has few connections of b"
    count=$(connections "$b")
    [ "$count" -le 3 ] || fail "$step: it has $count"
    passed
}

call_ends() {
    step='the end'
    alive && kill "$caller" || true
    ends
}
