package loopback

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	heard := make(chan string, 1)
	go func() { // hears all and then answers, as one that waits for the end of what it is sent
		conn, err := listener.Accept()
		if err != nil {
			heard <- err.Error()
			return
		}
		defer conn.Close()
		text, err := io.ReadAll(conn)
		if err != nil {
			text = []byte(err.Error())
		}
		heard <- string(text)
		_, _ = io.WriteString(conn, "answer")
	}()
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	var out bytes.Buffer
	if err := Run(t.Context(), []string{port}, strings.NewReader("question"), &out); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "question" || out.String() != "\x00answer" {
		t.Errorf("the server heard %q, its client %q", got, out.String())
	}
}

func TestRunRefused(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for argument, want := range map[string]string{"1": "connection refused", "x": "invalid syntax", "65536": "out of range"} {
		if err := Run(t.Context(), []string{argument}, strings.NewReader(""), &out); err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("port %s: %v, output %q", argument, err, out.String())
		}
	}
}

// TestRunReset: what goes wrong once the connection stands is no part of what the
// server says, and standard error would be: the engine sends both on one stream.
func TestRunReset(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		// With something unread, and nothing waited for, the close is a reset.
		_, _ = io.ReadFull(conn, make([]byte, 1))
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}()
	in, client := io.Pipe()
	defer client.Close()
	go func() { _, _ = io.WriteString(client, "question") }()
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	var out bytes.Buffer
	if err := Run(t.Context(), []string{port}, in, &out); err != nil || out.String() != "\x00" {
		t.Errorf("%v, output %q", err, out.String())
	}
}
