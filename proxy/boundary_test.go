package proxy

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"slices"
	"testing"
)

func TestEventBoundaries(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, stream string
		first        int
		boundary     bool
	}{
		{"nothing", "", -1, true},
		{"half a line", "data: x", -1, false},
		{"a line", "data: x\n", -1, false},
		{"an event", "data: x\n\n", 9, true},
		{"carriage returns", "data: x\r\r", 9, true},
		{"both", "data: x\r\n\r\n", 10, true},
		{"an event and a half", "a:1\n\ndata", 5, false},
		{"a comment", ": ping\n", 7, true},
		{"a comment within an event", "data: x\n: ping\n", -1, false},
		{"half a comment", ": pi", -1, false},
		{"blank lines", "\n\n", 1, true},
	}
	for _, test := range tests {
		var tracker eventTracker
		if first := tracker.advance([]byte(test.stream)); first != test.first || tracker.boundary() != test.boundary {
			t.Errorf("%s: first %d, boundary %t; want %d, %t", test.name, first, tracker.boundary(), test.first, test.boundary)
		}
	}
}

// sameInPieces checks that a tracker does not depend on how the stream is cut
// up, and gives the stream's boundaries.
func sameInPieces(t *testing.T, make func() tracker, stream []byte, pieces uint8) []int {
	t.Helper()
	bytewise, piecewise := make(), make()
	var boundaries []int
	for i := range stream {
		at := bytewise.advance(stream[i:i+1]) == 1
		if at != bytewise.boundary() {
			t.Fatalf("byte %d: advance says %t, boundary %t", i, at, bytewise.boundary())
		}
		if at {
			boundaries = append(boundaries, i+1)
		}
	}
	next := 0
	for at, n := 0, int(pieces%16)+1; at < len(stream); at += n {
		end := min(at+n, len(stream))
		want := -1
		for next < len(boundaries) && boundaries[next] <= end {
			if want < 0 {
				want = boundaries[next] - at
			}
			next++
		}
		if got := piecewise.advance(stream[at:end]); got != want {
			t.Fatalf("bytes %d to %d of %q: first boundary %d, want %d", at, end, stream, got, want)
		}
	}
	if piecewise.boundary() != bytewise.boundary() {
		t.Fatal("the end depends on the pieces")
	}
	return boundaries
}

var lineEnd = regexp.MustCompile("\r\n|\r|\n")

func FuzzEventTracker(f *testing.F) {
	f.Add([]byte("data: x\r\n\r\nid: 1\ndata: y\n\n: ping\n"), uint8(3))
	f.Add([]byte("\r\r\n\n\r:\n\ra\n:\n\n"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, pieces uint8) {
		boundaries := sameInPieces(t, func() tracker { return &eventTracker{} }, stream, pieces)
		// The oracle splits what came before a boundary into lines. The LF of a
		// CR LF may be on either side of it.
		for _, at := range boundaries {
			lines := lineEnd.Split(string(stream[:at]), -1)
			if last := lines[len(lines)-1]; last != "" {
				t.Fatalf("boundary at %d of %q, within the line %q", at, stream, last)
			}
			open := false
			for _, line := range lines[:len(lines)-1] {
				open = line != "" && (open || line[0] != ':')
			}
			if open {
				t.Fatalf("boundary at %d of %q, within an event", at, stream)
			}
		}
	})
}

func frame(payload int, masked bool) []byte {
	f := []byte{0x82, 0}
	switch {
	case payload < 126:
		f[1] = byte(payload)
	case payload < 1<<16:
		f[1] = 126
		f = binary.BigEndian.AppendUint16(f, uint16(payload))
	default:
		f[1] = 127
		f = binary.BigEndian.AppendUint64(f, uint64(payload))
	}
	if masked {
		f[1] |= 0x80
		f = append(f, 1, 2, 3, 4)
	}
	return append(f, bytes.Repeat([]byte{0x88}, payload)...)
}

func FuzzFrameTracker(f *testing.F) {
	f.Add(uint32(0), uint32(125), uint32(126), false, uint8(1))
	f.Add(uint32(65535), uint32(65536), uint32(1), true, uint8(15))
	f.Fuzz(func(t *testing.T, a, b, c uint32, masked bool, pieces uint8) {
		var stream []byte
		var want []int
		for _, size := range []uint32{a, b, c} {
			stream = append(stream, frame(int(size%70_000), masked)...)
			want = append(want, len(stream))
		}
		got := sameInPieces(t, func() tracker { return &frameTracker{} }, stream, pieces)
		if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Fatalf("boundaries %v, want %v", got, want)
		}
	})
}

// Whatever a back end sends instead of frames, the tracker survives it.
func FuzzFrameTrackerGarbage(f *testing.F) {
	f.Add([]byte("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff"), uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, pieces uint8) {
		sameInPieces(t, func() tracker { return &frameTracker{} }, stream, pieces)
	})
}

func FuzzMessageTracker(f *testing.F) {
	f.Add(uint32(0), uint32(1), uint32(300), uint8(1))
	f.Add(uint32(65536), uint32(0), uint32(5), uint8(15))
	f.Fuzz(func(t *testing.T, a, b, c uint32, pieces uint8) {
		var stream []byte
		var want []int
		for _, size := range []uint32{a % 70_000, b % 70_000, c % 70_000} {
			stream = binary.BigEndian.AppendUint32(append(stream, 1), size)
			stream = append(stream, bytes.Repeat([]byte{0}, int(size))...)
			want = append(want, len(stream))
		}
		got := sameInPieces(t, func() tracker { return &messageTracker{} }, stream, pieces)
		if !slices.Equal(got, want) {
			t.Fatalf("boundaries %v, want %v", got, want)
		}
		if rest := sameInPieces(t, func() tracker { return &messageTracker{} }, stream[:len(stream)-1], pieces); !slices.Equal(rest, want[:2]) {
			t.Fatalf("boundaries without the last byte %v, want %v", rest, want[:2])
		}
	})
}
