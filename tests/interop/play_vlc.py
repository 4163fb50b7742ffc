"""VLC as a library, Debian's own: live555 receives, VLC decodes and plays, and what it plays goes to two pipes.

    play_vlc.py URL VIDEO-FD AUDIO-FD [:OPTION]…

Each picture that it shows comes as luma, each piece of sound as 16-bit mono at 48 kHz. Ends with standard input, or when VLC
does. As a library it runs as root, which vlc itself refuses, and gives every picture, which none of its file outputs does.
"""

import ctypes
import os
import select
import sys
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_uint, c_void_p

import numpy
from frames import HEIGHT, RATE, WIDTH

# From <vlc/libvlc_media_player.h> and <vlc/libvlc_events.h>.
Format = CFUNCTYPE(c_uint, c_void_p, c_void_p, POINTER(c_uint), POINTER(c_uint), POINTER(c_uint), POINTER(c_uint))
Lock = CFUNCTYPE(c_void_p, c_void_p, POINTER(c_void_p))
Display = CFUNCTYPE(None, c_void_p, c_void_p)
Play = CFUNCTYPE(None, c_void_p, c_void_p, c_uint, c_int64)
Event = CFUNCTYPE(None, c_void_p, c_void_p)
END_REACHED, ENCOUNTERED_ERROR = 0x109, 0x10A

# VLC drops what is late; here all is to be seen. It would also try graphics cards first, which complain that they are not there.
OPTIONS = ["--verbose=1", "--no-color", "--no-lua", "--no-spu", "--no-drop-late-frames", "--no-skip-frames", "--avcodec-hw=none"]
# The luma of JPEG from red, green and blue, of 256.
LUMA = 77, 150, 29


def write(fd, data):
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(fd, view) :]


def library():
    lib = ctypes.CDLL("libvlc.so.5")
    for name in ("new", "media_new_location", "media_player_new_from_media", "media_player_event_manager"):
        getattr(lib, f"libvlc_{name}").restype = c_void_p
    return lib


def main():
    url, video, audio = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    vlc = library()
    instance = vlc.libvlc_new(len(OPTIONS), (c_char_p * len(OPTIONS))(*map(str.encode, OPTIONS)))
    if not instance:
        sys.exit("play_vlc: VLC does not start")
    media = vlc.libvlc_media_new_location(c_void_p(instance), url.encode())
    # Unlike an option of VLC itself, one of the stream may be one that no module knows.
    for option in sys.argv[4:]:
        vlc.libvlc_media_add_option(c_void_p(media), option.encode())
    player = c_void_p(vlc.libvlc_media_player_new_from_media(c_void_p(media)))
    asleep, wake = os.pipe()
    buffers = []

    @Format
    def form(_opaque, chroma, width, height, pitches, lines):
        # Red, green and blue: as luma it would come in whichever range was sent, and not say which. The size that is proposed is
        # that of what was decoded, which may have a few lines below the picture; VLC would stretch the picture over those.
        ctypes.memmove(chroma, b"RV32", 4)
        if width[0] != WIDTH or not HEIGHT <= height[0] < HEIGHT + 16:
            print(f"play_vlc: error: pictures of {width[0]} by {height[0]}", file=sys.stderr, flush=True)
            return 0
        height[0] = HEIGHT
        pitches[0], lines[0] = WIDTH * 4, HEIGHT
        buffers[:] = [numpy.zeros((HEIGHT, WIDTH, 4), numpy.uint8)]
        return 1

    @Lock
    def lock(_opaque, planes):
        planes[0] = buffers[0].ctypes.data
        return None

    @Display
    def display(_opaque, _picture):
        blue, green, red = (buffers[0][:, :, channel].astype(numpy.uint16) for channel in range(3))
        write(video, ((red * LUMA[0] + green * LUMA[1] + blue * LUMA[2] + 128) >> 8).astype(numpy.uint8))

    @Play
    def play(_opaque, samples, count, _when):
        write(audio, ctypes.string_at(samples, count * 2))

    @Event
    def over(_event, _opaque):
        os.write(wake, b"x")

    vlc.libvlc_video_set_format_callbacks(player, form, None)
    vlc.libvlc_video_set_callbacks(player, lock, None, display, None)
    vlc.libvlc_audio_set_format(player, b"S16N", RATE, 1)
    vlc.libvlc_audio_set_callbacks(player, play, None, None, None, None, None)
    events = c_void_p(vlc.libvlc_media_player_event_manager(player))
    for event in (END_REACHED, ENCOUNTERED_ERROR):
        vlc.libvlc_event_attach(events, c_int(event), over, None)
    vlc.libvlc_media_player_play(player)
    select.select([sys.stdin, asleep], [], [])
    vlc.libvlc_media_player_stop(player)


if __name__ == "__main__":
    main()
