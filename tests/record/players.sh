# What programs of others make of a recording. Sourced by ./tests/record/run, after tests/measure/lib.sh.
#
# A player is a function play_NAME FILE LOG that plays a file, says what it has to say in LOG, and prints how many pictures and how
# many packets of sound it decoded, or found.

# What each of them runs. The first is what the others are compared with.
players=(ffmpeg gstreamer mkvtoolnix vlc)
declare -A programs=([ffmpeg]=ffprobe [gstreamer]=gst-launch-1.0 [mkvtoolnix]=mkvinfo [vlc]=cvlc)

# play NAME FILE: has each player play a file and prints what it found; fails when one could not, or found something else than the
# first. One that is not installed is left out, but not in CI.
play() {
    local name=$1 file=$2 player log found wanted='' status=0
    for player in "${players[@]}"; do
        log=$out/$name-$player.log
        if ! command -v "${programs[$player]}" >/dev/null; then
            [ -z "${CI-}" ] || status=1
            printf '   %-7s %-10s skipped: %s is not installed, ./scripts/install players\n' "$name" "$player" "${programs[$player]}"
            continue
        fi
        if ! found=$("play_$player" "$file" "$log") || [[ ! $found =~ ^[1-9][0-9]*\ [1-9][0-9]*$ ]]; then
            printf '   %-7s %-10s FAILED, see %s\n' "$name" "$player" "$log"
            status=1
            continue
        fi
        wanted=${wanted:-$found}
        printf '   %-7s %-10s %5d pictures, %5d packets of sound' "$name" "$player" $found
        if [ "$found" = "$wanted" ]; then printf '\n'; else printf ': FAILED, that is not the same\n'; status=1; fi
    done
    return "$status"
}

play_ffmpeg() {
    ffprobe -v warning -count_frames -show_entries stream=codec_name,nb_read_frames -of csv=p=0 "$1" >"$2" 2>&1 || return 1
    # Whatever else it says is a complaint.
    [ "$(grep -cvE '^(mjpeg|opus),[0-9]+$' "$2")" = 0 ] || return 1
    printf '%d %d\n' "$(sed -n 's/^mjpeg,//p' "$2")" "$(sed -n 's/^opus,//p' "$2")"
}

play_gstreamer() {
    local fifos width height pictures sound
    gst-discoverer-1.0 "$1" >"$2" 2>&1 || return 1
    grep -qE 'video.*: JPEG' "$2" && grep -qE 'audio.*: Opus' "$2" && ! grep -qE 'Duration: (0:00:00\.0+|99:99:99.*)$' "$2" || return 1
    read -r width height < <(sed -nE 's/ *(Width|Height): //p' "$2" | xargs)
    fifos=$(mktemp -d)
    mkfifo "$fifos/pictures" "$fifos/sound"
    wc -c <"$fifos/pictures" >"$fifos/pictures.size" &
    pictures=$!
    wc -c <"$fifos/sound" >"$fifos/sound.size" &
    sound=$!
    gst-launch-1.0 -q filesrc "location=$1" ! matroskademux name=demux \
        demux.video_0 ! queue ! jpegdec ! filesink "location=$fifos/pictures" sync=false \
        demux.audio_0 ! queue ! opusdec ! audio/x-raw,format=S16LE,rate=48000,channels=1 ! filesink "location=$fifos/sound" sync=false \
        >>"$2" 2>&1 || { kill "$pictures" "$sound" 2>/dev/null || true; rm -rf "$fifos"; return 1; }
    wait "$pictures" "$sound"
    # Planes of 4:2:0, and samples without the 6.5 ms by which Opus begins early.
    printf '%d %d\n' "$(($(cat "$fifos/pictures.size") * 2 / (width * height * 3)))" "$((($(cat "$fifos/sound.size") / 2 + 312) / 960))"
    rm -rf "$fifos"
}

play_mkvtoolnix() {
    mkvinfo --all "$1" >"$2" 2>&1 || return 1
    grep -q 'Codec ID: V_MJPEG' "$2" && grep -q 'Codec ID: A_OPUS' "$2" || return 1
    printf '%d %d\n' "$(grep -c 'Simple block: .*track number 1,' "$2")" "$(grep -c 'Simple block: .*track number 2,' "$2")"
}

# As a person plays it, but four times as fast, to a screen and a loudspeaker that are none. It does not run as root.
play_vlc() {
    local scratch user=() seconds
    seconds=$(ffprobe -v error -select_streams a -show_entries packet=pts_time -of csv=p=0 "$1" 2>/dev/null | tail -n 1)
    seconds=${seconds:-0}
    scratch=$(mktemp -d)
    cp "$1" "$scratch/recording.mkv"
    if [ "$(id -u)" = 0 ]; then
        user=(setpriv --reuid nobody --regid nogroup --clear-groups)
        chown -R nobody:nogroup "$scratch"
    fi
    # It stays at the end, and is asked what it has done.
    {
        sleep "$((${seconds%%.*} / 4 + 5))"
        printf 'stats\n'
        sleep 1
        printf 'quit\n'
    } | HOME=$scratch timeout 120 "${user[@]}" cvlc --intf oldrc --rc-fake-tty --no-dbus --no-color --vout dummy --aout dummy --rate 4 \
        --play-and-pause "$scratch/recording.mkv" 2>&1 | tr -d '\r' >"$2" || true
    rm -rf "$scratch"
    counted() { sed -n "s/^| $1 *: *//p" "$2"; }
    [ "$(counted 'demux corrupted' "$2")$(counted discontinuities "$2")$(counted 'buffers lost' "$2")" = 000 ] || return 1
    # It counts a picture when it cuts it out, and again when it decodes it.
    printf '%d %d\n' "$(($(counted 'video decoded' "$2") / 2))" "$(counted 'buffers played' "$2")"
}
