package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
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

// A client gets the whole of a long last answer, though it has sent something more
// before it reads: a socket that is closed with something unread resets the connection.
func TestLastAnswerComesWholly(t *testing.T) {
	t.Parallel()
	const long = 200 << 10 // more than the socket of the client takes, less than ours
	f := newFront(t, HTTP, Options{})
	sent := make(chan struct{})
	b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-sent
		w.Header().Set("Content-Length", fmt.Sprint(long))
		io.CopyN(w, zeros{}, long)
	}))
	f.add(b)
	client := dialRaw(t, f.address)
	io.WriteString(client, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\n")
	io.WriteString(client, "hello")
	eventually(t, "the request arrives", func() bool { return b.served.Load() == 1 })
	io.WriteString(client, "\r\n") // as some old clients do
	close(sent)
	if err := f.Empty(t.Context()); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, res.Body); n != long || err != nil {
		t.Errorf("%d bytes came, %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
