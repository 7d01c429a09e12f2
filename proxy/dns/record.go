// Package dns answers the names of an instance's Services, and forwards all
// others to the resolver of the machine.
package dns

// The types of records there are.
const (
	A     = "A"
	SRV   = "SRV"
	PTR   = "PTR"
	CNAME = "CNAME"
	TXT   = "TXT"
)

// Record is one answer to a name. Names are written without the last dot.
type Record struct {
	Name  string
	Type  string
	TTL   uint32 // seconds
	Value string // an IPv4 address, a name, or a text
	Port  uint16 // of SRV
}
