"""OpenCV's VideoCapture with its FFmpeg, as most programs that look at pictures use it; they go to a pipe, as luma.

    play_opencv.py URL TRANSPORT VIDEO-FD

Reads as fast as pictures come. Ends with standard input, or when OpenCV has no more. It takes no sound.
"""

import os
import select
import sys

# Only errors, all of them: what it writes to standard error is then a complaint. Read when the library starts.
os.environ |= {"OPENCV_FFMPEG_DEBUG": "1", "OPENCV_FFMPEG_LOGLEVEL": "16"}


def main():
    url, transport, video = sys.argv[1], sys.argv[2], int(sys.argv[3])
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"rtsp_transport;{transport}"
    import cv2
    from frames import HEIGHT, WIDTH

    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 15_000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 10_000])
    if not capture.isOpened():
        sys.exit("play_opencv: error: VideoCapture does not open")
    while not select.select([sys.stdin], [], [], 0)[0]:
        there, picture = capture.read()
        if not there:
            sys.exit("play_opencv: error: VideoCapture has no more")
        if picture.shape != (HEIGHT, WIDTH, 3):
            sys.exit(f"play_opencv: error: a picture of {picture.shape[1]} by {picture.shape[0]}")
        # The luma of JPEG, back from the colours that OpenCV makes of it.
        view = memoryview(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)).cast("B")
        while view:
            view = view[os.write(video, view) :]
    capture.release()


if __name__ == "__main__":
    main()
