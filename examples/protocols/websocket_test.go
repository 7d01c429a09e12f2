package main_test

import (
	"context"
	"fmt"
	"time"

	"github.com/gorilla/websocket"
)

// webSocket talks and pings until the server's side says goodbye, which is to
// be code 1012, "service restart".
func webSocket(ctx context.Context, address string) error {
	conn, _, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+address+"/ws", nil)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	pongs := 0
	conn.SetPongHandler(func(string) error { pongs++; return nil })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		sent := fmt.Sprintf("message %d", n)
		// A failed write is explained by what there is to read.
		_ = conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Minute))
		_ = conn.WriteMessage(websocket.TextMessage, []byte(sent))
		switch _, got, err := conn.ReadMessage(); {
		case websocket.IsCloseError(err, websocket.CloseServiceRestart) && (pongs > 0 || n == 0):
			return nil
		case err != nil:
			return fmt.Errorf("after %d messages and %d pongs: %w", n, pongs, err)
		case string(got) != sent:
			return fmt.Errorf("%w: sent %q, got %q", errUnexpected, sent, got)
		}
	}
}
