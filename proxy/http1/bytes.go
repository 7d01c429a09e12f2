package http1

// What may stand where, by byte (RFC 9110, 5.5 and 5.6.2; RFC 3986).
const (
	isToken = 1 << iota // in methods and field names
	isValue             // in field values: no control bytes but the tab
	isPath              // in a path that needs no rewriting; "%" is looked at apart
	isQuery             // in a query: all that can be seen
	isHost              // in a host with its port
	isHex
	isSpace // around field values
)

var kindOf = func() (table [256]uint8) {
	mark := func(kind uint8, chars string) {
		for _, c := range []byte(chars) {
			table[c] |= kind
		}
	}
	const (
		digits  = "0123456789"
		letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	)
	mark(isToken, digits+letters+"!#$%&'*+-.^_`|~")
	mark(isPath, digits+letters+"-_.~/!$&'()*+,;=:@[]%")
	mark(isHost, digits+letters+"!$%&'()*+,-.:;=[]_~")
	mark(isHex, digits+"abcdefABCDEF")
	mark(isSpace, " \t")
	for c := range 256 {
		if c == '\t' || c >= ' ' && c != 0x7f {
			table[c] |= isValue
		}
		if c > ' ' && c < 0x7f {
			table[c] |= isQuery
		}
	}
	return table
}()

// all says whether every byte of b is of a kind.
func all(b []byte, kind uint8) bool {
	for _, c := range b {
		if kindOf[c]&kind == 0 {
			return false
		}
	}
	return true
}

// ValidHost says whether a request may name such a host. None at all is one of
// HTTP/1.0.
func ValidHost(host string) bool {
	for i := range len(host) {
		if kindOf[host[i]]&isHost == 0 {
			return false
		}
	}
	return true
}

func trim(b []byte) []byte {
	for len(b) > 0 && kindOf[b[0]]&isSpace != 0 {
		b = b[1:]
	}
	for len(b) > 0 && kindOf[b[len(b)-1]]&isSpace != 0 {
		b = b[:len(b)-1]
	}
	return b
}

// equal compares without regard to the case of letters; lower is in lower case.
func equal(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// number reads a decimal that fits an int64 with room to spare, or gives -1.
func number(b []byte) int64 {
	if len(b) == 0 || len(b) > 18 {
		return -1
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int64(c-'0')
	}
	return n
}
