// Command standin takes MongoDB's place in the examples where the real image is
// not at hand. It speaks as much of the wire protocol as the official drivers
// need to insert, find and count, and keeps its documents in a file: what it has
// acknowledged is on disk. It is an example, not a database.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Linked in with -ldflags "-X main.version=3.5.0".
var version = "0.0.0"

func main() {
	listen := flag.String("listen", ":27017", "address to listen on")
	dbpath := flag.String("dbpath", "/data/db", "folder of the data file")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *listen, *dbpath); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, listen, dbpath string) error {
	data, err := openStore(dbpath)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return errors.Join(err, data.close())
	}
	log.Printf("stand-in for mongo %s listens on %s with %d documents", version, l.Addr(), data.len())
	err = newServer(data).serve(ctx, l)
	return errors.Join(err, data.close())
}

// server holds the open connections, so that its end can close them.
type server struct {
	data  *store
	mu    sync.Mutex // guards conns
	conns map[net.Conn]struct{}
}

func newServer(data *store) *server {
	return &server{data: data, conns: map[net.Conn]struct{}{}}
}

// serve answers on l until ctx ends; it returns after every connection's
// goroutine has.
func (s *server) serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ending := context.AfterFunc(ctx, func() {
		l.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.Close()
		}
	})
	defer ending()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return nil
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		wg.Go(func() { s.converse(ctx, c) })
	}
}

// converse answers one connection's messages in their order.
func (s *server) converse(ctx context.Context, c net.Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	for ctx.Err() == nil {
		m, err := readMessage(c)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) && !errors.Is(err, errGone) {
				log.Printf("%s: %v", c.RemoteAddr(), err)
			}
			return
		}
		answer := s.answer(ctx, m.command)
		if m.quiet {
			continue
		}
		if err := m.reply(c, answer); err != nil {
			return
		}
	}
}

func init() { log.SetOutput(os.Stdout); log.SetFlags(log.LstdFlags | log.LUTC) }
