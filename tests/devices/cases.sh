# What happens to calls on cameras and sound cards of the kernel. Sourced by ./tests/devices/guest, in the guest; how peers
# are started and what they are asked is in tests/e2e/lib.sh.
#
# Three sound cards: Onboard, which is the system's default, and one for Ana and one for Ben. What a person at a card says and
# hears goes through its far side. vivid is two cameras with YUYV and the like, Webcam A and B are two with MJPG.

cards=(Onboard Ana Ben)
drivers=/sys/bus/platform/drivers

# near CARD: what visavis opens. far CARD: where the person is.
near() { printf 'plughw:CARD=%s,DEV=0\n' "$1"; }
far() { printf 'plughw:CARD=%s,DEV=1\n' "$1"; }

load() { modprobe -d "$modules" "$@"; }

plug_everything() {
    load snd-aloop enable=1,1,1 index=0,1,2 id=Onboard,Ana,Ben pcm_substreams=1
    load vivid n_devs=2 node_types=0x1,0x1 num_inputs=1,1 input_types=0,0 multiplanar=1,1
    load v4l2loopback devices=2 video_nr=10,11 exclusive_caps=1,1 'card_label=Webcam A,Webcam B'
}

# loudest FILE [OPTION…]: its loudest moment, in whole dB of full scale.
loudest() {
    local file=$1 found
    shift
    found=$(ffmpeg -nostdin "$@" -i "$file" -af volumedetect -f null - 2>&1 | sed -n 's/.*max_volume: \(-\?[0-9]*\).*/\1/p')
    printf '%s\n' "${found:--91}"
}

# Between cases everything is plugged in, and nobody uses it.
settle() {
    local device
    for device in snd_aloop.0 snd_aloop.1 snd_aloop.2; do
        [ -e "$drivers/snd_aloop/$device" ] || printf %s "$device" >"$drivers/snd_aloop/bind" || true
    done
    [ -e "$drivers/vivid/vivid.0" ] || printf %s vivid.0 >"$drivers/vivid/bind" || true
}

# unplug DRIVER DEVICE: as if its cable were pulled, with everything that is open. The kernel waits until it is closed.
unplug() { printf %s "$2" >"$drivers/$1/unbind" & }
plug() {
    local tries=200
    until [ ! -e "$drivers/$1/$2" ]; do
        [ "$((tries -= 1))" -gt 0 ] || fail "$2 is still in use after it was unplugged"
        sleep 0.05
    done
    printf %s "$2" >"$drivers/$1/bind"
}

# webcam LETTER [YUYV]: has a camera give MJPG, or that, until the case ends or the process in $webcam is ended.
webcam() {
    local number=10 clip=(-f mjpeg -framerate 30 -i "$files/clip.mjpeg" -c copy)
    [ "$1" = A ] || number=11
    [ -z "${2-}" ] || clip=(-i "$files/clip.y4m" -c:v rawvideo -pix_fmt yuyv422)
    webcam=
    local tries=200
    # The node keeps the format of the feeder before for as long as anybody has it open.
    until [ -n "$webcam" ] && kill -0 "$webcam" 2>/dev/null && grep -qs "${2:-MJPG}" "/sys/class/video4linux/video$number/format"; do
        # The driver refuses it at the moment at which somebody looks whether the node is a camera.
        if [ -z "$webcam" ] || ! kill -0 "$webcam" 2>/dev/null; then
            nice ffmpeg -nostdin -v error -re -stream_loop -1 "${clip[@]}" -f v4l2 "/dev/video$number" >>"$dir/webcam-$1.log" 2>&1 &
            webcam=$!
        fi
        [ "$((tries -= 1))" -gt 0 ] || fail "there is no camera: $(tail -n 1 "$dir/webcam-$1.log")"
        sleep 0.05
    done
}

# person CARD SIDE SECONDS: speaks into a card and hears what comes out of it.
person() {
    visavis-far "$(far "$1")" --play "$files/$2.wav" --record "$dir/$2-heard.wav" --seconds "$3" >"$dir/$2.far" 2>"$dir/$2.far.log" &
    people+=($!)
}

# Pictures are decoded and shown, into a file that keeps nothing; the list of them beside it stays.
seen() {
    ln -sf /dev/null "$dir/$1-seen.y4m"
    printf '%s@30\n' "$dir/$1-seen.y4m"
}

# call_for SECONDS CAMERA CAMERA: Ana calls Ben, each with a camera and a card of their own, and each hears the other.
call_for() {
    local seconds=$1 log=(--log visavis_media=debug,visavis::engine::pipeline=debug,warn)
    devices=() people=()
    answer b "$q" --auto=anyone --once --listen 127.0.0.1 "${log[@]}" --video "$3" --video-out "$(seen b)" \
        --audio "$(near Ben)" --audio-out "$(near Ben)"
    call a "127.0.0.1:$q" --duration $((seconds + 4)) "${log[@]}" --video "$2" --video-out "$(seen a)" \
        --audio "$(near Ana)" --audio-out "$(near Ana)"
    sees a connected
    # Cards run, and what is said from here on is heard.
    sees a device-started 4
    sees b device-started 4
    person Ana a "$seconds"
    person Ben b "$seconds"
    exits a 0 $((seconds + 30))
    exits b 0 15
    ended a ended
    never a device-failed
    never b device-failed
    wait "${people[@]}" || true
    speaks a
    speaks b
}

# speaks PERSON: they did, and heard something.
speaks() {
    [ "$(grep -c unix_ns "$dir/$1.far")" = 2 ] || fail "the person at $1's card could not speak or hear: $(tail -n 1 "$dir/$1.far.log")"
}

# The person at the default card, without a call: how exact the measurement is.
case_rig() {
    visavis-far "$(far Onboard)" --play "$files/a.wav" --record "$dir/b-heard.wav" --record-from "$(near Onboard)" \
        --seconds 20 >"$dir/a.far" 2>"$dir/a.far.log" || fail "the card does not run: $(tail -n 1 "$dir/a.far.log")"
    cp "$dir/a.far" "$dir/b.far"
    : >"$dir/a.events"
    : >"$dir/b.events"
}

case_call_vivid() { call_for "$seconds" vivid-000-vid-cap vivid-001-vid-cap; }

case_call_yuyv() {
    webcam A YUYV
    call_for "$seconds" 'Webcam A' vivid-001-vid-cap
}

case_call_webcam() {
    webcam A
    webcam B
    call_for "$seconds" 'Webcam A' 'Webcam B'
}
# A call in which Ana's devices are to be told apart from Ben's, who has none.
begin() {
    devices=()
    answer b "$q" --auto=anyone --once --listen 127.0.0.1 --audio synthetic --video synthetic:320x240@10 \
        --audio-out "$dir/ben.wav" --video-out "$(seen b)"
    call a "127.0.0.1:$q" --log visavis_media=debug,visavis=debug,warn "$@"
    sees a connected
}

# The call went on through all of it, and ends as it should.
finish() {
    never a ended
    tell a quit
    exits a 0
    exits b 0
    ended b ended
}

# changes PEER ROLE DEVICE [SECONDS]: the next news of a device in use: which it is now, or "null".
declare -A changes
changes() {
    local peer=$1 role=$2 device=$3 until=$((SECONDS + ${4:-30})) number=$((${changes[$1$2]:-0} + 1)) line=
    [ "$device" = null ] || device="\"$device\""
    until [ -n "$line" ]; do
        [ "$SECONDS" -lt "$until" ] || fail "$peer never told for the ${number}th time that its $role changed, to $device"
        sleep 0.05
        line=$(grep '"event":"device-changed"' "$dir/$peer.events" | grep "\"role\":\"$role\"" | sed -n "${number}p" || true)
    done
    changes[$1$2]=$number
    [[ $line == *"\"device\":$device,"* ]] || fail "$peer's $role should be $device: $line"
}

# arrives PEER WHAT: from the next second on, audio_bps or video_bps comes; `stays_away`: or does not.
arrives() { comes "$1" "$2" yes; }
stays_away() { comes "$1" "$2" no; }
comes() {
    local peer=$1 what=$2 wanted=$3 until=$((SECONDS + 40)) before
    before=$(count "$peer" status)
    until [ "$(count "$peer" status)" -gt $((before + 1)) ] &&
        [ "$(last "$peer" status "\"received\":{[^}]*\"$what\":[1-9]")" = "$wanted" ]; do
        [ "$SECONDS" -lt "$until" ] || fail "$peer receives $what: not \"$wanted\": $(grep '"status"' "$dir/$peer.events" | tail -n 1)"
        sleep 0.05
    done
}

# talks CARD: the person there speaks, and hears Ben's clicks.
talks() {
    nice visavis-far "$(far "$1")" --play "$files/a.wav" --record "$dir/ana.wav" --seconds 6 >"$dir/ana.far" 2>"$dir/ana.far.log" ||
        fail "the person at $1 cannot speak or hear: $(tail -n 1 "$dir/ana.far.log")"
    [ "$(loudest "$dir/ana.wav")" -gt -40 ] || fail "the person at $1 hears nothing of Ben: $(loudest "$dir/ana.wav") dB"
}

# Ben heard what was said last.
was_heard() {
    local heard
    heard=$(loudest "$dir/ben.wav" -sseof -15)
    [ "$heard" -gt -40 ] || fail "Ben heard nothing of it: $heard dB"
}

case_unplug_camera() {
    begin --video vivid-000-vid-cap --audio synthetic --audio-out none
    arrives b video_bps
    for _ in 1 2; do
        unplug vivid vivid.0
        changes a video-source null
        stays_away b video_bps
        arrives b audio_bps
        plug vivid vivid.0
        changes a video-source vivid-000-vid-cap
        arrives b video_bps
    done
    finish
}

# The camera of a stream, beneath those who watch. Where there is sound the one conversation goes on, and has pictures again
# afterwards; who takes pictures alone hears nothing meanwhile, and asks anew.
case_unplug_camera_players() {
    local player
    devices=()
    start b stream --port "$q" --listen 127.0.0.1 --audio synthetic --video vivid-000-vid-cap --allow-players loopback \
        --log visavis_media=debug,visavis=debug,warn
    sees b listening
    start a watch "rtsp://127.0.0.1:$q/stream" --video-out "$(seen a)" --audio-out "$dir/a.wav"
    start c watch "rtsp://127.0.0.1:$q/stream/mjpeg" --transport tcp --video-out "$(seen c)" --audio-out none
    ffmpeg -nostdin -v warning -i "rtsp://127.0.0.1:$q/stream" -c copy "$dir/player.mkv" 2>"$dir/player.log" &
    player=$!
    sees b player-joined 3
    arrives a video_bps
    for _ in 1 2; do
        unplug vivid vivid.0
        changes b video-source null
        stays_away a video_bps
        stays_away c video_bps
        arrives a audio_bps
        plug vivid vivid.0
        changes b video-source vivid-000-vid-cap
        arrives a video_bps
        arrives c video_bps
    done
    kill -INT "$player"
    wait "$player" || true
    ffprobe -v error -select_streams v -show_entries packet=pts_time -of csv=p=0 "$dir/player.mkv" |
        awk 'NR > 1 && $1 - last > 1 { gaps += 1 } { pictures[gaps + 0] += 1; last = $1 }
            END { exit !(gaps == 2 && pictures[0] > 5 && pictures[1] > 5 && pictures[2] > 5) }' ||
        fail "the player has no pictures of before, between and after: $(tail -n 1 "$dir/player.log")"
    never a camera-lost
    stop a
    stop c
    stop b
}

case_busy_camera() {
    begin --video vivid-000-vid-cap --audio none --audio-out none
    arrives b video_bps
    answer c "$p" --auto=anyone --audio none --video none --audio-out none
    start d call "127.0.0.1:$p" --video vivid-000-vid-cap --audio none --audio-out none
    exits d 8
    explains d 'another program uses it'
    stop c
    arrives b video_bps
    finish
}

# A camera whose driver gives no pictures any more, or no longer any camera, and then does again.
case_hanging_camera() {
    webcam A
    begin --video 'Webcam A' --audio synthetic --audio-out none
    arrives b video_bps
    kill -STOP "$webcam"
    changes a video-source null
    arrives b audio_bps
    kill -CONT "$webcam"
    changes a video-source 'Webcam A' 40
    arrives b video_bps
    kill "$webcam"
    changes a video-source null
    sleep 5
    webcam A
    changes a video-source 'Webcam A' 40
    arrives b video_bps
    finish
}

case_unplug_card() {
    begin --video none --audio "$(near Ana)" --audio-out "$(near Ana)"
    arrives b audio_bps
    for _ in 1 2; do
        unplug snd_aloop snd_aloop.1
        changes a audio-source null
        changes a audio-source default
        changes a audio-sink null
        changes a audio-sink default
        arrives b audio_bps
        plug snd_aloop snd_aloop.1
        changes a audio-source "$(near Ana)"
        changes a audio-sink "$(near Ana)"
        talks Ana
    done
    finish
    was_heard
}

# Nothing is left to fall back to: silence takes its place.
case_unplug_default_card() {
    begin --video none
    arrives b audio_bps
    unplug snd_aloop snd_aloop.0
    changes a audio-source null
    changes a audio-sink null
    arrives b audio_bps
    plug snd_aloop snd_aloop.0
    changes a audio-source default
    changes a audio-sink default
    talks Onboard
    finish
    was_heard
}

# listed KIND NAME: `visavis devices` has it, yes or no.
listed() { if grep -qF "{\"event\":\"device\",\"kind\":\"$1\",\"name\":\"$2\"}" "$dir/devices"; then echo yes; else echo no; fi; }

case_list() {
    webcam A
    visavis --json devices >"$dir/devices" 2>"$dir/devices.log" || fail "devices: $(tail -n 1 "$dir/devices.log")"
    [ ! -s "$dir/devices.log" ] || fail "devices complains: $(head -n 1 "$dir/devices.log")"
    local kind camera name
    for kind in microphone loudspeaker; do
        for name in default 'Loopback, Loopback PCM' "$(near Ana)" "$(near Ben)"; do
            [ "$(listed "$kind" "$name")" = yes ] || fail "no $kind \"$name\" is listed"
        done
    done
    for camera in vivid-000-vid-cap vivid-001-vid-cap 'Webcam A'; do
        [ "$(listed camera "$camera")" = yes ] || fail "no camera \"$camera\" is listed"
    done
    # It gives no pictures, for no webcam is behind it.
    [ "$(listed camera 'Webcam B')" = no ] || fail "a node that gives no pictures is listed as a camera"
}

# What is plugged in and out is told, and who speaks is heard, before and after.
case_watch() {
    local watching speaker
    visavis --json devices --watch --duration 45 >"$dir/devices" 2>"$dir/devices.log" &
    watching=$!
    visavis-far "$(far Ana)" --play "$files/a.wav" --seconds 12 >"$dir/a.far" 2>"$dir/a.far.log" &
    speaker=$!
    hears "$(near Ana)"
    unplug vivid vivid.0
    says device-gone camera vivid-000-vid-cap
    plug vivid vivid.0
    says device camera vivid-000-vid-cap 2
    kill "$speaker" 2>/dev/null || true
    wait "$speaker" || true
    unplug snd_aloop snd_aloop.1
    says device-gone microphone "$(near Ana)"
    says device-gone loudspeaker "$(near Ana)"
    plug snd_aloop snd_aloop.1
    says device microphone "$(near Ana)" 2
    visavis-far "$(far Ana)" --play "$files/a.wav" --seconds 12 >"$dir/a.far" 2>"$dir/a.far.log" &
    hears "$(near Ana)" "$(wc -l <"$dir/devices")"
    wait "$watching" || fail "devices --watch: status $?"
}

# says EVENT KIND NAME [COUNT]
says() {
    local until=$((SECONDS + 30)) line="{\"event\":\"$1\",\"kind\":\"$2\",\"name\":\"$3\"}"
    until [ "$(grep -cF "$line" "$dir/devices")" -ge "${4:-1}" ]; do
        [ "$SECONDS" -lt "$until" ] || fail "never said ${4:+for the ${4}th time }: $line"
        sleep 0.2
    done
}

# hears NAME [LINE]: a microphone is shown to hear speech, after so many lines.
hears() {
    local until=$((SECONDS + 20))
    until tail -n "+$((${2:-0} + 1))" "$dir/devices" | grep -F "\"name\":\"$1\"" | grep -q '"peak_dbfs":-[1-4]\?[0-9]\.'; do
        [ "$SECONDS" -lt "$until" ] || fail "$1 heard nothing: $(grep -F "\"name\":\"$1\"" "$dir/devices" | tail -n 1)"
        sleep 0.5
    done
}

case_echo_test() {
    visavis-far "$(far Ana)" --play "$files/a.wav" --record "$dir/heard.wav" --seconds 14 >"$dir/a.far" 2>"$dir/a.far.log" &
    local person=$!
    visavis --json echo-test --duration 4 --audio "$(near Ana)" --audio-out "$(near Ana)" >"$dir/echo" 2>"$dir/echo.log" ||
        fail "echo-test: status $?: $(tail -n 1 "$dir/echo.log")"
    grep -q '"silent":false' "$dir/echo" || fail "nothing was heard: $(cat "$dir/echo")"
    wait "$person" || fail "the person could not speak or hear: $(tail -n 1 "$dir/a.far.log")"
    [ "$(loudest "$dir/heard.wav")" -gt -40 ] || fail "the person did not hear themselves: $(loudest "$dir/heard.wav") dB"
}
