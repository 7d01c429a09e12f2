package proxy

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// An answer that may last for hours does not keep the buffers of one that is
// over at once, and loses nothing with them.
func TestModestTrip(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 10, answerBytes} {
		came := bytes.Repeat([]byte("e"), size)
		trip := &trip{out: outbounds.Get().(*outbound)}
		trip.out.res.Status = http.StatusOK
		d := &download{buf: trip.out.in, r: 3, w: 3 + copy(trip.out.in[3:], came)}
		came = came[:d.w-d.r]
		d.left = int64(len(came))
		trip.modest(d)
		if n := cap(trip.out.out) + cap(trip.out.in); n > 2*modestBytes+len(came) {
			t.Errorf("with %d bytes that had come it keeps %d", size, n)
		}
		if trip.out.res.Status != http.StatusOK {
			t.Errorf("the status is %d", trip.out.res.Status)
		}
		rest := make([]byte, len(came)+1)
		if n, err := d.read(rest, true); !bytes.Equal(rest[:n], came) || err != io.EOF {
			t.Errorf("of %d bytes that had come %d are left, %v", len(came), n, err)
		}
	}
}
