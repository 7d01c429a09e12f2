package proxy

import "encoding/binary"

// A tracker follows a byte stream to know where it may be ended, or something
// put in, without harm.
type tracker interface {
	// advance takes the next bytes of the stream. It returns how many of them
	// lead to the first boundary, or -1 if there is none in them.
	advance(p []byte) int
	// boundary says whether the stream may be ended where it is now.
	boundary() bool
}

// eventTracker finds the ends of server-sent events: blank lines, where a line
// ends with LF, CR LF or CR. Lines that are comments belong to no event.
type eventTracker struct {
	inLine  bool
	comment bool // the line under way is one
	inEvent bool // lines of an event have gone by, and no blank one yet
	afterCR bool
}

func (t *eventTracker) boundary() bool { return !t.inLine && !t.inEvent }

func (t *eventTracker) advance(p []byte) int {
	first := -1
	for i, c := range p {
		t.take(c)
		if first < 0 && t.boundary() {
			first = i + 1
		}
	}
	return first
}

func (t *eventTracker) take(c byte) {
	afterCR := t.afterCR
	t.afterCR = c == '\r'
	switch {
	case c == '\n' && afterCR: // the second half of one line end
	case c == '\n' || c == '\r':
		if !t.inLine {
			t.inEvent = false
		} else if !t.comment {
			t.inEvent = true
		}
		t.inLine = false
	case !t.inLine:
		t.inLine = true
		t.comment = c == ':'
	}
}

// messageTracker finds the ends of gRPC's messages, each of which begins with a
// flag and its length in four bytes:
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
type messageTracker struct {
	head    [5]byte
	got     int    // bytes of the head so far
	payload uint32 // bytes of the message to come
}

func (t *messageTracker) boundary() bool { return t.got == 0 && t.payload == 0 }

func (t *messageTracker) advance(p []byte) int {
	first := -1
	for at := 0; at < len(p); {
		if t.payload > 0 {
			n := min(t.payload, uint32(len(p)-at))
			t.payload -= n
			at += int(n)
		} else {
			n := copy(t.head[t.got:], p[at:])
			at += n
			if t.got += n; t.got == len(t.head) {
				t.got, t.payload = 0, binary.BigEndian.Uint32(t.head[1:])
			}
		}
		if first < 0 && t.boundary() {
			first = at
		}
	}
	return first
}

// frameTracker finds the ends of WebSocket frames (RFC 6455, 5.2). A control
// frame may be put between any two frames, also between those of one message.
type frameTracker struct {
	head    [14]byte
	got     int    // bytes of the head so far
	payload uint64 // bytes of the payload to come
}

func (t *frameTracker) boundary() bool { return t.got == 0 && t.payload == 0 }

func (t *frameTracker) advance(p []byte) int {
	first, at := -1, 0
	for at < len(p) {
		if t.payload > 0 {
			n := min(t.payload, uint64(len(p)-at))
			t.payload -= n
			at += int(n)
		} else {
			t.head[t.got] = p[at]
			t.got++
			at++
			if t.got == t.headSize() {
				t.payload = t.payloadSize()
				t.got = 0
			}
		}
		if first < 0 && t.boundary() {
			first = at
		}
	}
	return first
}

// headSize is what the head will take, as far as its beginning tells.
func (t *frameTracker) headSize() int {
	if t.got < 2 {
		return 2
	}
	size := 2
	switch t.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if t.head[1]&0x80 != 0 {
		size += 4 // the mask
	}
	return size
}

func (t *frameTracker) payloadSize() uint64 {
	short := uint64(t.head[1] & 0x7f)
	bytes := 0
	switch short {
	case 126:
		bytes = 2
	case 127:
		bytes = 8
	default:
		return short
	}
	size := uint64(0)
	for _, b := range t.head[2 : 2+bytes] {
		size = size<<8 | uint64(b)
	}
	return size
}

// closeFrame asks a WebSocket client to come back: 1012, service restart.
var closeFrame = []byte("\x88\x11\x03\xf4service restart")
