# What the scripts that measure calls share. Sourced by them, from the top of the checkout, with $bin in PATH.

say() { printf '== %s (%d s)\n' "$*" "$SECONDS"; }
convert() { ffmpeg -nostdin -v error -y "$@"; }

# build ARGUMENT…: cargo build. Under sudo it is done as who called that: root may have no Rust, and what root builds nobody else
# could build again.
build() {
    [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER-}" ] && [ "$SUDO_USER" != root ] || { cargo build --locked "$@"; return; }
    local words
    printf -v words '%q ' env "CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}" cargo build --locked "$@"
    # As after a login, which is where the way to cargo is set.
    sudo --login --user "$SUDO_USER" bash -c "cd ${PWD@Q} && $words"
}

# await FILE TEXT SECONDS: waits until a file holds a text.
await() {
    local file=$1 text=$2 tries=$(($3 * 20))
    until grep -qF -- "$text" "$file" 2>/dev/null; do
        [ "$((tries -= 1))" -gt 0 ] || return 1
        sleep 0.05
    done
}

# prepare DIRECTORY SECONDS: makes a.wav and b.wav, speech for each side, and clip.y4m, for a call of that length.
prepare() {
    local files=$1
    prepare_speech "$files" "$2"
    [ ! -e "$files/clip.y4m" ] || return 0
    convert -i /usr/share/forensics-samples/original-files/movie2/movie-hello.mp4 -an \
        -vf crop=960:720,scale=640:480 -r 30 -pix_fmt yuv420p "$files/presenter.y4m"
    visavis-measure prepare-clip "$files/presenter.y4m" --out "$files/clip-new.y4m"
    mv "$files/clip-new.y4m" "$files/clip.y4m"
    rm "$files/presenter.y4m"
}

# prepare_speech DIRECTORY SECONDS: makes the sound of it only.
prepare_speech() {
    local files=$1 need=$(($2 + 16)) index=0 recording recordings=()
    mkdir -p "$files"
    [ "$(cat "$files/.seconds" 2>/dev/null)" != "$need" ] || return 0
    for recording in /usr/share/pocketsphinx/test/data/librivox/*.wav; do
        convert -i "$recording" -ac 1 -ar 48000 -c:a pcm_s16le "$files/reader-$((index += 1)).wav"
        recordings+=("$files/reader-$index.wav")
    done
    convert -i /usr/share/asterisk/sounds/en_US_f_Allison/demo-instruct.g722 -ac 1 -ar 48000 -c:a pcm_s16le \
        "$files/announcer.wav"
    visavis-measure prepare-speech "${recordings[@]}" --seconds "$need" --out "$files/a.wav"
    visavis-measure prepare-speech "$files/announcer.wav" --seconds "$need" --out "$files/b.wav"
    printf '%s\n' "$need" >"$files/.seconds"
}

# measure FILES DIRECTORY FROM TO NAME: measures what side TO played of what side FROM sent, into DIRECTORY/NAME.json.
measure() {
    local files=$1 directory=$2 from=$3 to=$4 name=$5
    visavis-measure report --sent-events "$directory/$from.events" --played-events "$directory/$to.events" \
        --sent-audio "$files/$from.wav" --played-audio "$directory/$to-heard.wav" \
        --sent-video "$files/clip.y4m" --played-video "$directory/$to-seen.y4m" \
        --out "$directory/$name.json" --passages "$directory/$name" &&
        target/venv/bin/python tests/measure/speech.py "$directory/$name" "$directory/$name.json"
}
