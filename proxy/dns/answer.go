package dns

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sort"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// denialTTL is how long a client may remember that there is no such name:
	// the Service may be made the next moment.
	denialTTL = 1

	maxAliases = 8 // that lead from one to the next

	plainSize   = 512  // of an answer over UDP, where the client says nothing
	largestSize = 4096 // what is sent at most over UDP, whatever the client says
)

// query is a question and what came with it.
type query struct {
	raw      []byte
	header   dnsmessage.Header
	question dnsmessage.Question
	name     string // without the last dot
	edns     bool
	size     int // of the answer at most
}

var errNotOneQuestion = errors.New("not one question")

func parse(raw []byte) (query, error) {
	q := query{raw: raw, size: plainSize}
	var p dnsmessage.Parser
	var err error
	if q.header, err = p.Start(raw); err != nil {
		return q, err
	}
	questions, err := p.AllQuestions()
	if err != nil {
		return q, err
	}
	if len(questions) != 1 || q.header.Response {
		return q, errNotOneQuestion
	}
	q.question = questions[0]
	q.name = strings.TrimSuffix(q.question.Name.String(), ".")
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return q, nil
	}
	for {
		h, err := p.AdditionalHeader()
		if err != nil {
			return q, nil
		}
		if h.Type == dnsmessage.TypeOPT {
			q.edns = true
			q.size = max(plainSize, min(int(h.Class), largestSize))
		}
		if p.SkipAdditional() != nil {
			return q, nil
		}
	}
}

// refusal is the answer to what is neither known here nor asked of anybody:
// other operations than a query, and names of other networks than the Internet
// (the chaos class, by which scanners ask for versions).
func (q query) refusal() dnsmessage.RCode {
	switch class := q.question.Class; {
	case q.header.OpCode != 0:
		return dnsmessage.RCodeNotImplemented
	case class != dnsmessage.ClassINET && class != dnsmessage.ClassANY:
		return dnsmessage.RCodeRefused
	}
	return dnsmessage.RCodeSuccess
}

// reply is an answer that is being put together.
type reply struct {
	code       dnsmessage.RCode
	authority  bool
	answers    []dnsmessage.Resource
	additional []dnsmessage.Resource
}

// answer looks a name of the zone up. An alias of a name elsewhere is resolved
// there, for clients do not do that themselves.
func (s *Server) answer(ctx context.Context, q query) reply {
	if code := q.refusal(); code != dnsmessage.RCodeSuccess {
		return reply{code: code}
	}
	return s.look(ctx, q, q.name, maxAliases)
}

// look looks up a name, and what as many aliases stand for.
func (s *Server) look(ctx context.Context, q query, name string, aliases int) reply {
	records, exists := s.zone.lookup(name)
	r := reply{authority: true}
	if !exists {
		r.code = dnsmessage.RCodeNameError
		return r
	}
	rand.Shuffle(len(records), swapper(&records))
	for _, record := range records {
		switch {
		case record.Type == CNAME:
			r.answers = append(r.answers, resource(record)...)
			if q.question.Type != dnsmessage.TypeCNAME {
				s.follow(ctx, q, record.Value, aliases-1, &r)
			}
			return r
		case record.Type == typeName(q.question.Type) || q.question.Type == dnsmessage.TypeALL:
			r.answers = append(r.answers, resource(record)...)
			if record.Type == SRV {
				r.additional = append(r.additional, s.addresses(record.Value)...)
			}
		}
	}
	return r
}

// swapper lets records be shuffled without touching the zone's own slice.
func swapper(records *[]Record) func(i, j int) {
	own := append([]Record(nil), *records...)
	*records = own
	return func(i, j int) { own[i], own[j] = own[j], own[i] }
}

func (s *Server) addresses(name string) (found []dnsmessage.Resource) {
	records, _ := s.zone.lookup(name)
	for _, r := range records {
		if r.Type == A {
			found = append(found, resource(r)...)
		}
	}
	return found
}

// follow adds what an alias stands for.
func (s *Server) follow(ctx context.Context, q query, target string, aliases int, r *reply) {
	if aliases == 0 {
		r.code = dnsmessage.RCodeServerFailure
		return
	}
	if s.zone.owns(target) {
		of := s.look(ctx, q, target, aliases)
		r.code, r.authority = of.code, of.authority
		r.answers, r.additional = append(r.answers, of.answers...), of.additional
		return
	}
	r.authority = false
	name, err := dnsmessage.NewName(target + ".")
	if err != nil {
		r.code = dnsmessage.RCodeServerFailure
		return
	}
	ask := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.header.ID, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: q.question.Type, Class: q.question.Class}},
	}
	upstream, err := s.consult(ctx, ask)
	if err != nil {
		r.code = dnsmessage.RCodeServerFailure
		return
	}
	r.code = upstream.RCode
	r.answers = append(r.answers, upstream.Answers...)
}

// consult asks the machine's resolvers over UDP, for not all of them speak TCP,
// and over that for what does not fit.
func (s *Server) consult(ctx context.Context, ask dnsmessage.Message) (answer dnsmessage.Message, err error) {
	raw, err := ask.Pack()
	if err != nil {
		return answer, err
	}
	err = answer.Unpack(s.forward(ctx, "udp", raw))
	if err == nil && answer.Truncated {
		var whole dnsmessage.Message
		if whole.Unpack(s.forward(ctx, "tcp", raw)) == nil {
			return whole, nil
		}
	}
	return answer, err
}

func typeName(t dnsmessage.Type) string { return strings.TrimPrefix(t.String(), "Type") }

// resource is a record on the wire; none where its name cannot be one.
func resource(r Record) []dnsmessage.Resource {
	name, err := dnsmessage.NewName(r.Name + ".")
	if err != nil {
		return nil
	}
	out := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: r.TTL}}
	switch r.Type {
	case TXT:
		out.Body = &dnsmessage.TXTResource{TXT: []string{r.Value}}
		return []dnsmessage.Resource{out}
	case A:
		ip, err := netip.ParseAddr(r.Value)
		if err != nil || !ip.Is4() {
			return nil
		}
		out.Body = &dnsmessage.AResource{A: ip.As4()}
		return []dnsmessage.Resource{out}
	}
	target, err := dnsmessage.NewName(r.Value + ".")
	if err != nil {
		return nil
	}
	switch r.Type {
	case SRV:
		out.Body = &dnsmessage.SRVResource{Port: r.Port, Weight: 100, Target: target}
	case PTR:
		out.Body = &dnsmessage.PTRResource{PTR: target}
	case CNAME:
		out.Body = &dnsmessage.CNAMEResource{CNAME: target}
	default:
		return nil
	}
	return []dnsmessage.Resource{out}
}

// pack writes an answer, cut to the client's size where there is one. What does
// not fit is asked for again over TCP; some clients do not, and take what there is.
func (s *Server) pack(q query, r reply, limit int) []byte {
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: q.header.ID, Response: true, OpCode: q.header.OpCode, Authoritative: r.authority,
			RecursionDesired: q.header.RecursionDesired, RecursionAvailable: true, RCode: r.code,
		},
		Questions:   []dnsmessage.Question{q.question},
		Answers:     r.answers,
		Additionals: r.additional,
	}
	if len(r.answers) == 0 && r.authority {
		m.Authorities = denial(s.zone.apex(q.name))
	}
	if q.edns {
		opt := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
		opt.Header.Name = dnsmessage.MustNewName(".")
		if opt.Header.SetEDNS0(largestSize, dnsmessage.RCodeSuccess, false) == nil {
			m.Additionals = append(m.Additionals, opt)
		}
	}
	raw, err := m.Pack()
	if err != nil {
		m.RCode, m.Answers, m.Authorities, m.Additionals = dnsmessage.RCodeServerFailure, nil, nil, nil
		raw, _ = m.Pack() // it is a header and the client's own question
	}
	if len(raw) <= limit {
		return raw
	}
	m.Truncated, m.Additionals = true, m.Additionals[len(r.additional):]
	more := sort.Search(len(r.answers), func(n int) bool {
		m.Answers = r.answers[:n+1]
		raw, err := m.Pack()
		return err != nil || len(raw) > limit
	})
	m.Answers = r.answers[:more]
	raw, _ = m.Pack()
	return raw
}

// denial says for how long there is nothing below a domain.
func denial(of string) []dnsmessage.Resource {
	domain, err1 := dnsmessage.NewName(of + ".")
	server, err2 := dnsmessage.NewName("ns.dns." + of + ".")
	mailbox, err3 := dnsmessage.NewName("hostmaster." + of + ".")
	if errors.Join(err1, err2, err3) != nil {
		return nil
	}
	return []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: domain, Class: dnsmessage.ClassINET, TTL: denialTTL},
		Body: &dnsmessage.SOAResource{
			NS: server, MBox: mailbox, Serial: 1,
			Refresh: 7200, Retry: 1800, Expire: 86400, MinTTL: denialTTL,
		},
	}}
}
