package proxy

import (
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The last answer and the end of its connection are one packet, and nothing of
// the answer is lost to what the client has sent behind its request.
func TestLastAnswerBringsTheEnd(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, answering("ok")))
	const request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for range 20 { // two packets may look like one
		client := dialRaw(t, f.address)
		io.WriteString(client, request+"and more")
		raw, _ := client.(*net.TCPConn).SyscallConn()
		heard := []unix.PollFd{{Events: unix.POLLIN | unix.POLLRDHUP}}
		raw.Control(func(fd uintptr) {
			heard[0].Fd = int32(fd)
			if n, err := unix.Poll(heard, 60_000); n != 1 || err != nil {
				t.Errorf("no answer: %d, %v", n, err)
			}
		})
		if heard[0].Revents&unix.POLLRDHUP == 0 {
			t.Fatal("the answer came without the end")
		}
		var answer [1 << 10]byte
		n, err := io.ReadAtLeast(client, answer[:], len(answer))
		if !strings.HasSuffix(string(answer[:n]), "\r\n\r\nok") {
			t.Fatalf("the answer is %q, %v", answer[:n], err)
		}
	}
}
