package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// A gateway that is being stopped answers with its back ends as long as it
// answers at all.
func TestStoppedInFlight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, slow, let := serve(t, "a")
	w.Set(t.Context(), w.service(80, member("a", a)))
	w.Begin()
	w.eventually("a", 80)
	// The head of a request that the gateway has begun to read when it is told.
	conn, err := net.Dial("tcp", netip.AddrPortFrom(w.config.Services.Addr().Next(), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\n")
	answer := make(chan string, 1)
	go func() { answer <- w.get(80, "/slow") }()
	<-slow
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		w.stop()
		w.machine.kill()
	}()
	closed := func() bool {
		l, err := net.Listen("tcp", w.config.control())
		if err == nil {
			l.Close()
		}
		return err == nil
	}
	for deadline := time.Now().Add(time.Minute); !closed(); {
		if time.Now().After(deadline) {
			t.Fatal("it does not stop")
		}
	}
	fmt.Fprint(conn, "Host: web\r\n\r\n")
	conn.SetDeadline(time.Now().Add(time.Minute))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	if string(body) != "a" {
		t.Errorf("answered %s %q", res.Status, body)
	}
	close(let)
	<-answer
	<-killed
}
