# What is on a screen, as a stream: Xvfb stands for a display. Sourced by ./tests/e2e/run; lib.sh has the words.

# displays [NUMBER]: starts a display, of this number or a free one, whose sides are no multiples of 8; $display is its number. It stays
# as it is when nobody looks.
displays() {
    local tries=100
    rm -f "$dir/display"
    Xvfb ${1:+":$1"} -displayfd 5 -screen 0 1290x732x24 -nolisten tcp -noreset 5>"$dir/display" >>"$dir/xvfb.log" 2>&1 &
    server=$!
    until [ -s "$dir/display" ]; do
        [ "$((tries -= 1))" -gt 0 ] || fail "Xvfb does not start: $(tail -n 1 "$dir/xvfb.log")"
        sleep 0.05
    done
    display=$(cat "$dir/display")
}

# shows COLOUR: the whole display has this colour, and a player sees it, in the middle of the picture and in a corner.
shows() {
    local colour=$1 red=$((16#${1:0:2})) green=$((16#${1:2:2})) blue=$((16#${1:4:2})) tries=40 seen
    DISPLAY=:$display xsetroot -solid "#$colour"
    while true; do
        # Four pixels that are means of a quarter of the picture each: neither cropping nor a pointer matters to them.
        seen=$(timeout 20 ffmpeg -nostdin -v error -rtsp_transport tcp -i "rtsp://127.0.0.1:$p/stream/mjpeg/silent" -frames:v 1 \
            -vf scale=2:2:flags=area,format=rgb24 -f rawvideo - 2>>"$dir/screen.ffmpeg" | od -An -v -tu1 | tr -s ' \n' ' ') || true
        near "$seen" "$red" "$green" "$blue" && return
        [ "$((tries -= 1))" -gt 0 ] || fail "the display is $red $green $blue, and a player sees $seen"
        sleep 0.1
    done
}

# near SEEN RED GREEN BLUE: four pixels that are all of this colour, but for what coding costs.
near() {
    awk -v seen="$1" -v colour="$2 $3 $4" 'BEGIN {
        if (split(seen, got, " ") != 12) exit 1
        split(colour, want, " ")
        for (at = 1; at <= 12; at++) { off = got[at] - want[(at - 1) % 3 + 1]; if (off > 6 || off < -6) exit 1 }
    }'
}

case_screen() {
    local size
    if ! command -v Xvfb >/dev/null || ! command -v xsetroot >/dev/null; then
        skip "Xvfb and xsetroot are not there: ./scripts/install test"
        return
    fi
    displays
    DISPLAY=:$display visavis --json devices >"$dir/devices.events" 2>/dev/null
    grep -q '"kind":"screen","name":"screen:' "$dir/devices.events" || fail "the display is not listed: $(cat "$dir/devices.events")"
    DISPLAY=:$display start ben stream --port "$p" --audio none --video screen --allow-players loopback
    sees ben listening
    shows 2040c0
    shows e0a010
    size=$(ffprobe -v error -show_entries stream=width,height -of csv=p=0 "rtsp://127.0.0.1:$p/stream/h264/silent")
    [ "$size" = 1288,728 ] || fail "pictures are $size, not what fits of 1290 by 732"
    # A player stays while the display goes and comes back under the same number.
    ffmpeg -nostdin -v error -i "rtsp://127.0.0.1:$p/stream/mjpeg/silent" -f null - 2>"$dir/long.ffmpeg" &
    sees ben device-started
    kill -KILL "$server"
    # What the shell has to say about that is no news.
    { wait "$server" || true; } 2>/dev/null
    sees ben device-changed
    grep '"event":"device-changed"' "$dir/ben.events" | head -n 1 | grep -q 'the display went away' ||
        fail "it does not say why: $(grep '"event":"device-changed"' "$dir/ben.events")"
    displays "$display"
    shows 10a040
    stop ben
    kill "$server"
}

# Without a display it is said what to do.
case_screen_none() {
    local said
    DISPLAY='' WAYLAND_DISPLAY='' start ben stream --port "$p" --audio none --video screen --allow-players loopback
    sees ben listening
    timeout 10 ffmpeg -nostdin -v error -i "rtsp://127.0.0.1:$p/stream/mjpeg/silent" -t 1 -f null - 2>"$dir/none.ffmpeg" || true
    sees ben device-failed
    said=$(grep '"event":"device-failed"' "$dir/ben.events" | head -n 1)
    grep -q 'DISPLAY is not set' <<<"$said" || fail "it does not say what is missing: $said"
    stop ben
    DISPLAY='' WAYLAND_DISPLAY=wayland-0 start cy stream --port "$q" --audio none --video screen --allow-players loopback
    sees cy listening
    timeout 10 ffmpeg -nostdin -v error -i "rtsp://127.0.0.1:$q/stream/mjpeg/silent" -t 1 -f null - 2>"$dir/none.ffmpeg" || true
    sees cy device-failed
    grep '"event":"device-failed"' "$dir/cy.events" | head -n 1 | grep -q 'Wayland' || fail "it does not say that it is Wayland"
    stop cy
}
