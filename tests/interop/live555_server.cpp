// An RTSP server made of live555, which the firmware of many cameras is: what others have been tested with, to be a client of.
//
//     live555_server PORT H264 JPEG WAV
//
// serves files under these of the paths of visavis, to each client from their beginning: /stream/h264/silent and /stream/mjpeg/silent, and with G.711
// µ-law /stream/pcmu and /stream/mjpeg/pcmu. H264 is a byte stream (ITU-T H.264 annex B), JPEG one picture behind the other, 4:2:0 and with the
// usual Huffman tables, WAV 16-bit mono at 8 kHz. Prints one line of JSON when it listens, and ends with SIGTERM or its standard input.

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include <BasicUsageEnvironment.hh>
#include <GroupsockHelper.hh>
#include <liveMedia.hh>

static int const FPS = 30;

// Pictures of a file, each at its time; after the last one comes the first.
class Pictures : public JPEGVideoSource {
public:
    Pictures(UsageEnvironment& env, std::string const& data) : JPEGVideoSource(env), data(data) { gettimeofday(&begun, NULL); }

private:
    ~Pictures() override { doStopGettingFrames(); }
    void doStopGettingFrames() override { envir().taskScheduler().unscheduleDelayedTask(task); }
    u_int8_t type() override { return 1; }       // 4:2:0, RFC 2435 §4.1
    u_int8_t qFactor() override { return 255; }  // with its tables, §4.2
    u_int8_t width() override { return columns / 8; }
    u_int8_t height() override { return rows / 8; }
    u_int8_t const* quantizationTables(u_int8_t& precision, u_int16_t& length) override {
        precision = 0;
        length = sizeof tables;
        return tables;
    }
    void doGetNextFrame() override {
        struct timeval now;
        gettimeofday(&now, NULL);
        int64_t wait = (int64_t(begun.tv_sec) - now.tv_sec) * 1000000 + begun.tv_usec - now.tv_usec + number * 1000000 / FPS;
        task = envir().taskScheduler().scheduleDelayedTask(wait < 0 ? 0 : wait, [](void* self) { static_cast<Pictures*>(self)->give(); }, this);
    }

    void give() {
        size_t end = data.find("\xff\xd9", at);  // EOI
        if (end == std::string::npos) end = data.find("\xff\xd9", at = 0);
        read(end);
        int64_t time = begun.tv_usec + number++ * 1000000 / FPS;
        fPresentationTime = {begun.tv_sec + time / 1000000, time % 1000000};
        fDurationInMicroseconds = 0;
        at = end + 2;
        FramedSource::afterGetting(this);
    }

    // The segments of one picture (ITU-T T.81 annex B): what the payload says of it by itself, and its scan, which is sent.
    void read(size_t end) {
        auto byte = [this](size_t n) { return u_int8_t(data[n]); };
        for (size_t n = at + 2; n + 4 < end;) {
            unsigned marker = byte(n + 1), length = byte(n + 2) << 8 | byte(n + 3);
            if (marker == 0xdb)  // DQT: one table, or another one for the colours
                for (size_t t = n + 4; t + 65 <= n + 2 + length; t += 65) {
                    memcpy(tables + 64 * (byte(t) & 1), &data[t + 1], 64);
                    if ((byte(t) & 15) == 0) memcpy(tables + 64, &data[t + 1], 64);
                }
            if (marker == 0xc0)  // SOF0
                rows = byte(n + 5) << 8 | byte(n + 6), columns = byte(n + 7) << 8 | byte(n + 8);
            n += 2 + length;
            if (marker != 0xda) continue;  // SOS
            fFrameSize = std::min<size_t>(end - n, fMaxSize);
            fNumTruncatedBytes = end - n - fFrameSize;
            memcpy(fTo, &data[n], fFrameSize);
            return;
        }
    }

    std::string const& data;
    size_t at = 0;
    int64_t number = 0;
    struct timeval begun;
    unsigned columns = 0, rows = 0;
    u_int8_t tables[128] = {};  // luma, chroma
    TaskToken task = NULL;
};

class JpegTrack : public OnDemandServerMediaSubsession {
public:
    JpegTrack(UsageEnvironment& env, std::string const& data) : OnDemandServerMediaSubsession(env, False), data(data) {}

private:
    FramedSource* createNewStreamSource(unsigned, unsigned& kbit) override {
        kbit = 8000;
        return new Pictures(envir(), data);
    }
    RTPSink* createNewRTPSink(Groupsock* socket, unsigned char, FramedSource*) override { return JPEGVideoRTPSink::createNew(envir(), socket); }
    std::string const& data;
};

int main(int argc, char** argv) {
    if (argc != 5) return fprintf(stderr, "live555_server PORT H264 JPEG WAV\n"), 2;
    UsageEnvironment& env = *BasicUsageEnvironment::createNew(*BasicTaskScheduler::createNew());
    ReceivingInterfaceAddr = htonl(INADDR_LOOPBACK);
    ReceivingInterfaceAddr6 = in6addr_loopback;
    std::ifstream file(argv[3], std::ios::binary);
    std::string const jpeg{std::istreambuf_iterator<char>(file), {}};
    // A key picture is larger than what it takes for one unless told.
    OutPacketBuffer::maxSize = 1 << 20;
    RTSPServer* server = RTSPServer::createNew(env, atoi(argv[1]));
    if (!server || jpeg.empty()) return fprintf(stderr, "live555_server: %s\n", jpeg.empty() ? "no pictures" : env.getResultMsg()), 1;
    for (char const* path : {"stream/h264/silent", "stream/pcmu", "stream/mjpeg/silent", "stream/mjpeg/pcmu"}) {
        ServerMediaSession* session = ServerMediaSession::createNew(env, path, path, "visavis");
        if (strstr(path, "mjpeg")) session->addSubsession(new JpegTrack(env, jpeg));
        else session->addSubsession(H264VideoFileServerMediaSubsession::createNew(env, argv[2], False));
        if (strstr(path, "pcmu")) session->addSubsession(WAVAudioFileServerMediaSubsession::createNew(env, argv[4], False, True));
        server->addServerMediaSession(session);
    }
    // Only its end is of interest, and "quit".
    env.taskScheduler().turnOnBackgroundReadHandling(0, [](void*, int) { exit(0); }, NULL);
    printf("{\"event\":\"listening\",\"port\":%s}\n", argv[1]);
    fflush(stdout);
    env.taskScheduler().doEventLoop();
}
