package http1

import (
	"bytes"
	"iter"
)

// Name is a field name that a proxy has to know, or Other.
type Name uint8

const (
	Other Name = iota
	Host
	ContentLength
	TransferEncoding
	Connection
	KeepAlive
	ProxyConnection
	ProxyAuthenticate
	ProxyAuthorization
	TE
	Trailer
	Upgrade
	Expect
	XForwardedFor
	XForwardedHost
	XForwardedProto
	Forwarded
	Date
	ContentType
)

// named has the names by their length, which nearly tells them apart.
var named = [20][]struct {
	text string
	name Name
}{
	2:  {{"te", TE}},
	4:  {{"host", Host}, {"date", Date}},
	6:  {{"expect", Expect}},
	7:  {{"upgrade", Upgrade}, {"trailer", Trailer}},
	9:  {{"forwarded", Forwarded}},
	10: {{"connection", Connection}, {"keep-alive", KeepAlive}},
	12: {{"content-type", ContentType}},
	14: {{"content-length", ContentLength}},
	15: {{"x-forwarded-for", XForwardedFor}},
	16: {{"x-forwarded-host", XForwardedHost}, {"proxy-connection", ProxyConnection}},
	17: {{"transfer-encoding", TransferEncoding}, {"x-forwarded-proto", XForwardedProto}},
	18: {{"proxy-authenticate", ProxyAuthenticate}},
	19: {{"proxy-authorization", ProxyAuthorization}},
}

func nameOf(text []byte) Name {
	if len(text) < len(named) {
		for _, known := range named[len(text)] {
			if equal(text, known.text) {
				return known.name
			}
		}
	}
	return Other
}

// HopByHop says whether a field speaks about one connection only (RFC 9110,
// 7.6.1).
func (n Name) HopByHop() bool {
	return n >= TransferEncoding && n <= Upgrade
}

// Field is one line of a head. Its slices are parts of the head.
type Field struct {
	Name  Name
	Text  []byte // the name as it came
	Value []byte // without the space around it
}

// fields reads the lines of a head behind its first one, or those of a
// trailer, and puts them behind into. Each ends with CR LF; lax, LF will do.
func fields(lines []byte, into []Field, lax bool) ([]Field, error) {
	for len(lines) > 0 {
		line, rest := cutLine(lines, lax)
		lines = rest
		if len(line) == 0 {
			return into, nil
		}
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 || !all(line[:colon], isToken) {
			return into, errFieldName
		}
		value := line[colon+1:]
		if !all(value, isValue) {
			return into, errFieldValue
		}
		if len(into) == maxFields {
			return into, errTooLarge
		}
		into = append(into, Field{Name: nameOf(line[:colon]), Text: line[:colon], Value: trim(value)})
	}
	return into, nil
}

// cutLine takes the first line off, without its end. A CR that is no part of
// the line's end stays in it, and is refused there.
func cutLine(b []byte, lax bool) (line, rest []byte) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return b, nil
	}
	line, rest = b[:end], b[end+1:]
	switch n := len(line); {
	case n > 0 && line[n-1] == '\r':
		line = line[:n-1]
	case !lax:
		line = b[:end+1] // the LF alone is refused as a byte of the line
	}
	return line, rest
}

// elements are the elements of a list in a field value.
func elements(value []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(value) > 0 {
			element, rest, _ := bytes.Cut(value, comma)
			value = rest
			if element = trim(element); len(element) > 0 && !yield(element) {
				return
			}
		}
	}
}

var comma = []byte(",")

// Has says whether a list has an element, given in lower case.
func Has(value []byte, element string) bool {
	for e := range elements(value) {
		if equal(e, element) {
			return true
		}
	}
	return false
}
