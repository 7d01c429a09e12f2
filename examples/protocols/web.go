package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

func web(version string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "version %s %s\n", version, r.URL.RawQuery)
	})
	mux.HandleFunc("/echo", echoBody)
	mux.HandleFunc("/ws", echoMessages)
	mux.HandleFunc("/events", events)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version", version)
		mux.ServeHTTP(w, r)
	})
}

func echoBody(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Sha256")
	// HTTP/2 reads and writes at once anyway, and says so by an error.
	_ = http.NewResponseController(w).EnableFullDuplex()
	sum := sha256.New()
	if _, err := io.Copy(w, io.TeeReader(r.Body, sum)); err != nil {
		panic(http.ErrAbortHandler) // half a body must not be taken for a whole one
	}
	w.Header().Set("X-Sha256", fmt.Sprintf("%x", sum.Sum(nil)))
}

// echoMessages takes ?bye=true for a client that only wants to shake hands.
func echoMessages(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{}
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetReadLimit(1 << 20)
	if r.URL.Query().Get("bye") == "true" {
		_ = c.WriteMessage(websocket.TextMessage, []byte("bye"))
		return
	}
	for {
		kind, message, err := c.ReadMessage()
		if err != nil || c.WriteMessage(kind, message) != nil {
			return
		}
	}
}

// events are ten per second.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		fmt.Fprintf(w, "data: %d\n\n", n)
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
