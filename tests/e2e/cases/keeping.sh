# What is kept of a call. Sourced by ./tests/e2e/run; lib.sh has the words.

# Both directions of ten seconds: who is recorded knows it, and the file is whole.
case_record() {
    answer ben "$p" --once --auto=anyone
    call ana "127.0.0.1:$p" --duration 10 --record "$dir/call.mkv" --snapshot "$dir/ben.jpg"
    sees ana recording
    sees ben recording
    grep -q '"by":"them".*"on":true' "$dir/ben.events" || fail "ben does not know who records"
    sees ana snapshot
    exits ana 0 30
    exits ben 0
    probed "$dir/call.mkv" 8.5 10.5
    [ ! -s "$dir/probe.log" ] || fail "ffprobe complains: $(head -n 1 "$dir/probe.log")"
    ffprobe -v error -show_entries format=duration -of csv=p=0 "$dir/call.mkv" | grep -qE '^(9|10)\.' || fail "it has no length"
    [ "$(ffprobe -v error -show_entries stream=codec_name,width,height -of csv=p=0 "$dir/ben.jpg")" = mjpeg,320,240 ] ||
        fail "the picture is none"
    # A recording is not written over.
    call ana "127.0.0.1:$p" --record "$dir/call.mkv"
    exits ana 8
    explains ana 'is there already'
}

# Whoever is killed leaves what can be played.
case_record_killed() {
    answer ben "$p" --once --auto=anyone --reconnect 0
    call ana "127.0.0.1:$p" --record "$dir/call.mkv"
    sees ana recording
    sees ana status 10
    kill -KILL "${pids[ana]}"
    probed "$dir/call.mkv" 5 12
    exits ben 10
}

# The disk is full: the call goes on, and it is said once.
case_record_full() {
    mkdir "$dir/disk"
    mount -t tmpfs -o size=256k tmpfs "$dir/disk" || fail "no small disk can be had"
    answer ben "$p" --once --auto=anyone
    call ana "127.0.0.1:$p" --record "$dir/disk/call.mkv"
    sees ana device-failed
    sees ana status "$(($(count ana status) + 2))"
    flows ana
    tell ana hangup
    exits ana 0
    exits ben 0
    [ "$(count ana device-failed)" = 1 ] || fail "it is said more than once"
    explains ana 'the call goes on'
    grep -q '"by":"them".*"on":false' "$dir/ben.events" || fail "ben thinks that he is still recorded"
    cp "$dir/disk/call.mkv" "$dir/"
    umount "$dir/disk"
    probed "$dir/call.mkv" 0.5 30
}

# A look through somebody's camera, and what there is to say when it has none.
case_snapshot() {
    start cam stream --allow anyone --port "$p" --audio synthetic --video synthetic:320x240@10
    sees cam listening
    start ana watch "127.0.0.1:$p" --snapshot "$dir/door.jpg"
    exits ana 0
    [ "$(ffprobe -v error -show_entries stream=width -of csv=p=0 "$dir/door.jpg")" = 320 ] || fail "the picture is none"
    # Later ones on request, in its place.
    start eva watch "127.0.0.1:$p" --snapshot "$dir/door.jpg" --duration 20 --audio-out none
    sees eva snapshot
    tell eva snapshot
    sees eva snapshot 2
    tell eva quit
    exits eva 0
    stop cam
}
