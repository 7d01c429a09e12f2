package proxy

import (
	"bytes"
	"io"
	"slices"
	"testing"
)

// Who waits for the next part has a buffer only if the one before filled it.
func TestThrifty(t *testing.T) {
	t.Parallel()
	const little, large = 1 << 10, 32 << 10
	comes := []int{5, little, 3 * little, little - 1, 7, 0}
	var sent, got bytes.Buffer
	var waitedWith []int
	parts := thrifty{from: func(p []byte) (int, error) {
		waitedWith = append(waitedWith, len(p))
		n := comes[0]
		if comes = comes[1:]; n == 0 {
			return 0, io.EOF
		}
		part := bytes.Repeat([]byte{byte(n)}, n)
		sent.Write(part)
		return copy(p, part), nil
	}}
	for {
		part, err := parts.next()
		got.Write(part)
		if err == io.EOF {
			break
		}
	}
	if want := []int{little, little, large, large, little, little}; !slices.Equal(waitedWith, want) {
		t.Errorf("waited with buffers of %d bytes, want %d", waitedWith, want)
	}
	if !bytes.Equal(sent.Bytes(), got.Bytes()) {
		t.Error("what came is not what was sent")
	}
	if parts.drop(); parts.large != nil {
		t.Error("it keeps a buffer at the end")
	}
}
