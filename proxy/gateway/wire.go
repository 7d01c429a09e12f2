// Package gateway carries traffic between Pods: a proxy and a DNS server inside
// the instance's network, and the daemon's link to it. The gateway knows only
// what it was told last, so it forwards on when the daemon is gone; the link
// tells it everything anew whenever either of them was away.
package gateway

import (
	"skiff/proxy/dns"
	"skiff/proxy/switchboard"
)

// API is the address of a back end that is no machine on the network: the API
// of the daemon, which the gateway reaches through connections that the daemon
// opens to it.
const API = "api"

// A connection begins with eight bytes: zero makes it the link itself, any
// other number is that of the tunnel to the API that the gateway asked for.
const linkTag = 0

// message is what the daemon tells, one line of JSON each. Exactly one field
// besides Seq is set.
type message struct {
	Seq      uint64
	Snapshot *snapshot            `json:",omitempty"`
	Set      *switchboard.Service `json:",omitempty"`
	Expect   *switchboard.Expect  `json:",omitempty"`
	Publish  *publish             `json:",omitempty"`
	Remove   string               `json:",omitempty"` // ID of a back end
	Drain    *switchboard.Drain   `json:",omitempty"`
	Count    bool                 `json:",omitempty"` // also a question for a sign of life
}

func (m message) Numbered(seq uint64) message { m.Seq = seq; return m }

// snapshot is all there is.
type snapshot struct {
	Services []switchboard.Service
	Records  map[string][]dns.Record
}

type publish struct {
	Service string
	Records []dns.Record
}

// report is what the gateway tells.
type report struct {
	Done  uint64 `json:",omitempty"` // the message with that Seq has been done
	Error string `json:",omitempty"` // what of it could not be
	Open  uint64 `json:",omitempty"` // the daemon is to open a tunnel with that number

	Counts switchboard.Counts `json:",omitempty"` // what was counted since the gateway began
	Use    Use                `json:",omitzero"`  // comes with Counts
}

const (
	maxMessage = 64 << 20
	maxReport  = 64 << 20
)
