package pool

// Cause is why a request got no good answer.
type Cause int

const (
	Unavailable Cause = iota // there was no back end
	Unreached                // no back end took a connection
	Broken                   // the back end ended the connection early
	Cut                      // the drain's deadline came first
	Shutdown                 // the proxy ended
	Refused                  // the request could not be understood
	ClientGone               // the client did not wait
	causes
)

func (c Cause) String() string {
	return [causes]string{"unavailable", "unreached", "broken", "cut", "shutdown", "refused", "client gone"}[c]
}

// Causes are all there are.
func Causes() []Cause {
	return []Cause{Unavailable, Unreached, Broken, Cut, Shutdown, Refused, ClientGone}
}

// Fault says whose doing it was. A back end that takes no connection was said
// to be ready all the same: that is the fault of what says so.
func (c Cause) Fault() string {
	return [causes]string{"application", "probe", "application", "application", "proxy", "client", "client"}[c]
}

// Stream is a kind of what does not end by itself like a request.
type Stream int

const (
	WebSocket Stream = iota
	Events           // server-sent
	Upgraded         // to another protocol
	TCP
	UDP
	Calls // of gRPC, in the middle of whose answer nothing comes for a while
	streams
)

func (s Stream) String() string {
	return [streams]string{"ws", "sse", "upgraded", "tcp", "udp", "grpc"}[s]
}

// Streams are all kinds there are.
func Streams() []Stream { return []Stream{WebSocket, Events, Upgraded, TCP, UDP, Calls} }

// classes are those of HTTP's status codes, by their first digit. 0 is for what
// is no HTTP: TCP connections and UDP sessions.
const classes = 6

// Tally is what was counted of some requests, each once, at its end; a stream
// is one when it has begun. It is a value: nothing changes it.
type Tally struct {
	Answered [classes]uint64
	Failures [causes]uint64
	Retried  uint64 // those for which more than one back end was tried
	Drained  [streams]uint64
	Cut      [streams]uint64 // in the midst of something
	Took     Histogram       // the answered ones, without streams
	Held     Histogram       // those that waited for a back end
}

// Requests is how many there were.
func (t Tally) Requests() uint64 {
	n := t.Failed()
	for _, more := range t.Answered {
		n += more
	}
	return n
}

// Failed is how many got no good answer, whoever's fault that was.
func (t Tally) Failed() uint64 {
	var n uint64
	for _, more := range t.Failures {
		n += more
	}
	return n
}

// Lost is how many got none although the client did all it had to.
func (t Tally) Lost() uint64 {
	return t.Failed() - t.Failures[Refused] - t.Failures[ClientGone]
}

// Plus is what both have counted.
func (t Tally) Plus(other Tally) Tally {
	return t.with(other, func(a, b uint64) uint64 { return a + b }, Histogram.Plus)
}

// Minus is what was counted after earlier.
func (t Tally) Minus(earlier Tally) Tally {
	return t.with(earlier, func(a, b uint64) uint64 { return a - min(a, b) }, Histogram.Minus)
}

func (t Tally) with(other Tally, number func(a, b uint64) uint64, histogram func(a, b Histogram) Histogram) Tally {
	for i := range t.Answered {
		t.Answered[i] = number(t.Answered[i], other.Answered[i])
	}
	for i := range t.Failures {
		t.Failures[i] = number(t.Failures[i], other.Failures[i])
	}
	for i := range t.Drained {
		t.Drained[i] = number(t.Drained[i], other.Drained[i])
		t.Cut[i] = number(t.Cut[i], other.Cut[i])
	}
	t.Retried = number(t.Retried, other.Retried)
	t.Took, t.Held = histogram(t.Took, other.Took), histogram(t.Held, other.Held)
	return t
}
