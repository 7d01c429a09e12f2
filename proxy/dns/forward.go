package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	attemptTimeout = 2 * time.Second // for one answer of one resolver
	attempts       = 2               // of each
)

// forward asks the machine's resolvers, one after the other, and gives the
// answer as it came; nil where none of them answers.
func (s *Server) forward(ctx context.Context, network string, query []byte) []byte {
	for range attempts {
		for _, resolver := range s.upstream {
			answer, err := ask(ctx, network, resolver, query)
			if err == nil {
				return answer
			}
			s.log.Debug("forward a query", "resolver", resolver, "error", err)
			if ctx.Err() != nil {
				return nil
			}
		}
	}
	return nil
}

// ask sends a query under an ID, and from a port, that nobody can guess.
func ask(ctx context.Context, network, resolver string, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, resolver)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	id := uint16(rand.Uint32())
	sent := bytes.Clone(query)
	binary.BigEndian.PutUint16(sent, id)
	if network == "tcp" {
		err = writeMessage(conn, sent)
	} else {
		_, err = conn.Write(sent)
	}
	if err != nil {
		return nil, err
	}
	for {
		answer, err := receive(conn, network)
		if err != nil {
			return nil, err
		}
		if answers(answer, sent) {
			copy(answer, query[:2])
			return answer, nil
		}
	}
}

func receive(conn net.Conn, network string) ([]byte, error) {
	if network == "tcp" {
		return readMessage(conn)
	}
	buffer := make([]byte, maxMessage)
	n, err := conn.Read(buffer)
	return buffer[:n], err
}

// answers says whether a message is the answer to that query.
func answers(answer, query []byte) bool {
	var a, q dnsmessage.Parser
	ah, err1 := a.Start(answer)
	qh, err2 := q.Start(query)
	if err1 != nil || err2 != nil || ah.ID != qh.ID || !ah.Response {
		return false
	}
	got, err1 := a.Question()
	asked, err2 := q.Question()
	return err1 == nil && err2 == nil && got.Type == asked.Type && strings.EqualFold(got.Name.String(), asked.Name.String())
}

// SystemResolvers are those that a resolv.conf names.
func SystemResolvers(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var resolvers []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "nameserver" && net.ParseIP(f[1]) != nil {
			resolvers = append(resolvers, net.JoinHostPort(f[1], "53"))
		}
	}
	return resolvers, nil
}
