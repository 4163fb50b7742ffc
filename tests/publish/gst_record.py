#!/usr/bin/python3
"""A server that takes a stream by ANNOUNCE and RECORD, made of GStreamer's gst-rtsp-server, and writes what it gets, decoded, to pipes.

Pictures are raw, luma first, in full range; sound is 16-bit mono at 48 kHz: what tests/interop judges. Needs Debian's
gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-{base,good,bad} and -libav. Prints one line of JSON when it listens, and
one for each stream that begins and ends.
"""

import argparse
import json
import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

# Between I420 and I420 videoconvert changes no range, only by way of RGB.
FULL = "videoconvert ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=I420,colorimetry=1:4:0:0"
VIDEO = {
    "h264": "rtph264depay name=depay0 ! h264parse ! avdec_h264",
    "mjpeg": "rtpjpegdepay name=depay0 ! jpegdec",
}
AUDIO = {
    "opus": "rtpopusdepay name=depay1 ! opusdec",
    "pcmu": "rtppcmudepay name=depay1 ! mulawdec",
}
PCM = "audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=48000,channels=1"


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", required=True)
    parser.add_argument("--transport", choices=("tcp", "udp", "rtsps"), default="tcp", help="the only one that it takes (%(default)s)")
    parser.add_argument("--certificate", type=Path, help="certificate.pem, with key.pem beside it, for rtsps")
    parser.add_argument("--video", choices=VIDEO, default="h264")
    parser.add_argument("--audio", choices=AUDIO, default="opus")
    parser.add_argument("--fds", type=int, nargs=2, required=True, help="where pictures and sound go")
    parser.add_argument("--login", metavar="NAME:PASSWORD", help="asked for by Digest; by Basic over TLS")
    options = parser.parse_args()

    Gst.init(None)
    pictures, sound = options.fds
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_launch(
        f"( {VIDEO[options.video]} ! queue ! {FULL} ! fdsink async=false sync=false fd={pictures} "
        f"{AUDIO[options.audio]} ! queue ! {PCM} ! fdsink async=false sync=false fd={sound} )"
    )
    factory.set_latency(200)
    lower = GstRtsp.RTSPLowerTrans
    factory.set_protocols(lower.UDP if options.transport == "udp" else lower.TCP)

    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    auth = GstRtspServer.RTSPAuth()
    if options.transport == "rtsps":
        key = options.certificate.with_name("key.pem")
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(str(options.certificate), str(key)))
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "publisher")
    if options.login:
        name, password = options.login.split(":", 1)
        if options.transport == "rtsps":
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(name, password), token)
        else:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(name, password, token)
    else:
        auth.set_default_token(token)
    permissions = GstRtspServer.RTSPPermissions()
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("publisher", permission, True)
    factory.set_permissions(permissions)
    server.set_auth(auth)
    server.get_mount_points().add_factory("/live/door", factory)

    def connected(_server, client):
        client.connect("record-request", lambda *_: say("record"))
        client.connect("teardown-request", lambda *_: say("teardown"))
        client.connect("closed", lambda *_: say("closed"))

    server.connect("client-connected", connected)
    if server.attach(None) == 0:
        sys.exit(f"gst_record: port {options.port} is not free")
    GLib.timeout_add_seconds(10, lambda pool=server.get_session_pool(): pool.cleanup() >= 0)
    say("listening", port=int(options.port))
    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IOCondition.HUP, lambda *_: loop.quit())
    loop.run()


if __name__ == "__main__":
    main()
