#!/usr/bin/python3
"""Serves the encoded clips of a directory with GStreamer's RTSP server, as what visavis is compared with.

    gst-server.py DIRECTORY [CERTIFICATE [srtp]]

DIRECTORY/h264 and DIRECTORY/mjpeg hold one encoded picture a file. With a certificate the server speaks RTSPS and nothing
else, and with `srtp` each packet is sealed by itself. Says where it listens as a line of JSON. Python only sets it up: all of
the work is in GStreamer's own threads.
"""

import json
import pathlib
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

STREAMS = {
    "/stream": (
        "h264/%05d.h264",
        "video/x-h264,stream-format=byte-stream,alignment=au,framerate=30/1",
        "h264parse ! rtph264pay name=pay0 pt=96 mtu=1200 config-interval=1",
    ),
    # Nothing gives these a time of their own: at its mean rate in bytes the clip plays in real time.
    "/stream/mjpeg": (
        "mjpeg/%05d.jpg",
        "image/jpeg,width=1280,height=720,framerate=30/1",
        "jpegparse ! identity datarate={rate} ! rtpjpegpay name=pay0 pt=26 mtu=1200",
    ),
}


def factory(directory, files, caps, rest):
    """One pipeline for all viewers, however many there are."""
    sizes = [file.stat().st_size for file in pathlib.Path(directory, files).parent.iterdir()]
    rate = 30 * sum(sizes) // len(sizes)
    made = GstRtspServer.RTSPMediaFactory()
    source = f'multifilesrc location="{directory}/{files}" start-index=1 loop=true caps="{caps}"'
    made.set_launch(f"( {source} ! {rest.format(rate=rate)} )")
    made.set_shared(True)
    return made


def encrypt(server, factories, certificate):
    """Everybody may watch, and all of it is TLS."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(certificate))
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "anyone")
    auth.set_default_token(token)
    server.set_auth(auth)
    for made in factories:
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_role("anyone")
        for what in ("access", "construct"):
            permissions.add_permission_for_role("anyone", f"media.factory.{what}", True)
        made.set_permissions(permissions)


def main():
    directory, *certificate = sys.argv[1:]
    sealed = certificate[1:] == ["srtp"]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    factories = {path: factory(directory, *stream) for path, stream in STREAMS.items()}
    for path, made in factories.items():
        if sealed:
            made.set_profiles(GstRtsp.RTSPProfile.SAVP)
        server.get_mount_points().add_factory(path, made)
    if certificate:
        encrypt(server, factories.values(), certificate[0])
    server.attach(None)
    print(json.dumps({"address": f"127.0.0.1:{server.get_bound_port()}", "event": "listening"}), flush=True)
    GLib.MainLoop().run()


main()
