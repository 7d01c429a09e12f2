package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"skiff/proxy/accept"
)

const (
	maxForwarded   = 512 // at a time
	maxConnections = 128 // over TCP
	maxMessage     = 64 << 10
	connectionIdle = 10 * time.Second
)

// Options of a Server.
type Options struct {
	Address  string // host:port, for UDP and TCP
	Zone     *Zone
	Upstream []string // host:port of the resolvers for all other names
	Log      *slog.Logger
}

// Server answers queries while Run runs.
type Server struct {
	zone     *Zone
	address  string
	upstream []string
	log      *slog.Logger

	forwarding chan struct{} // slots
	serving    sync.WaitGroup
}

// New makes a Server.
func New(o Options) *Server {
	return &Server{
		zone: o.Zone, address: o.Address, upstream: o.Upstream, log: o.Log,
		forwarding: make(chan struct{}, maxForwarded),
	}
}

// Run answers until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	packets, err := net.ListenPacket("udp", s.address)
	if err != nil {
		return fmt.Errorf("listen for DNS: %w", err)
	}
	// What TCP listens at is what UDP was given, where that was any port.
	streams, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		return errors.Join(fmt.Errorf("listen for DNS: %w", err), packets.Close())
	}
	s.log.Info("answering DNS", "address", packets.LocalAddr().String())
	s.serve(ctx, packets.(*net.UDPConn), streams)
	return nil
}

// serve answers what comes to the sockets, and closes them when ctx ends.
func (s *Server) serve(ctx context.Context, packets *net.UDPConn, streams net.Listener) {
	s.serving.Go(func() { s.serveUDP(ctx, packets) })
	s.serving.Go(func() { s.serveTCP(ctx, streams) })
	<-ctx.Done()
	packets.Close()
	streams.Close()
	s.serving.Wait()
}

func (s *Server) serveUDP(ctx context.Context, conn *net.UDPConn) {
	buffer := make([]byte, maxMessage)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue // about a datagram, not about the socket
		}
		q, err := parse(append([]byte(nil), buffer[:n]...))
		if err != nil {
			continue // whoever sent that does not expect an answer
		}
		if s.quick(q) {
			s.send(conn, from, s.pack(q, s.answer(ctx, q), q.size))
			continue
		}
		select {
		case s.forwarding <- struct{}{}:
		default:
			s.send(conn, from, s.pack(q, reply{code: dnsmessage.RCodeServerFailure}, q.size))
			continue
		}
		s.serving.Go(func() {
			defer func() { <-s.forwarding }()
			s.send(conn, from, s.resolve(ctx, "udp", q, q.size))
		})
	}
}

func (s *Server) send(conn *net.UDPConn, to netip.AddrPort, answer []byte) {
	if _, err := conn.WriteToUDPAddrPort(answer, to); err != nil {
		s.log.Debug("answer a query", "client", to, "error", err)
	}
}

// own says whether a query is answered here, be it by a refusal.
func (s *Server) own(q query) bool {
	return s.zone.owns(q.name) || q.refusal() != dnsmessage.RCodeSuccess
}

// quick says whether an answer needs nobody else.
func (s *Server) quick(q query) bool {
	records, _ := s.zone.lookup(q.name)
	return s.own(q) && (len(records) == 0 || records[0].Type != CNAME)
}

// resolve answers a query, whoever knows the answer.
func (s *Server) resolve(ctx context.Context, network string, q query, limit int) []byte {
	if s.own(q) {
		return s.pack(q, s.answer(ctx, q), limit)
	}
	if raw := s.forward(ctx, network, q.raw); raw != nil {
		return raw
	}
	return s.pack(q, reply{code: dnsmessage.RCodeServerFailure}, limit)
}

func (s *Server) serveTCP(ctx context.Context, listener net.Listener) {
	slots := make(chan struct{}, maxConnections)
	accept.Each(listener, s.log, func(conn net.Conn) {
		select {
		case slots <- struct{}{}:
		default:
			conn.Close()
			return
		}
		s.serving.Go(func() {
			defer func() { <-slots }()
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			for s.serveQuery(ctx, conn) == nil {
			}
		})
	})
}

// serveQuery answers the next query of a connection.
func (s *Server) serveQuery(ctx context.Context, conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(connectionIdle)); err != nil {
		return err
	}
	raw, err := readMessage(conn)
	if err != nil {
		return err
	}
	q, err := parse(raw)
	if err != nil {
		return err
	}
	return writeMessage(conn, s.resolve(ctx, "tcp", q, maxMessage-1))
}

// Over TCP a message goes after its length.

func readMessage(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	raw := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, raw)
	return raw, err
}

func writeMessage(w io.Writer, raw []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...))
	return err
}
