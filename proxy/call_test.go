package proxy

import (
	"slices"
	"testing"
)

// TestPartsOfCalls: what comes of a message is told as it comes, so that one which
// takes long is not taken for rest; and what ends one is told apart.
func TestPartsOfCalls(t *testing.T) {
	t.Parallel()
	var told []bool
	s := &stream{tracker: &messageTracker{}, passed: func(whole bool) { told = append(told, whole) }}
	for _, chunk := range []string{"\x00\x00\x00", "\x00\x03a", "b", "c\x00\x00\x00\x00\x02d", "", "e"} {
		if ended, err := s.pass(func([]byte) error { return nil }, []byte(chunk)); ended || err != nil {
			t.Fatalf("%q: %t, %v", chunk, ended, err)
		}
	}
	if want := []bool{false, false, false, true, true}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}
