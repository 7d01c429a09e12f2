package handover

import (
	"time"

	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// message is what the heir tells once it has the sockets. Exactly one field
// besides Seq is set.
type message struct {
	Seq    uint64
	Set    *switchboard.Service `json:",omitempty"`
	Expect *expect              `json:",omitempty"`
	Remove string               `json:",omitempty"` // ID of a back end
	Drain  *drain               `json:",omitempty"`
	Leave  bool                 `json:",omitempty"` // the heir is ready
}

type expect struct {
	Service  string
	Expected pool.Expectation
}

type drain struct {
	ID      string
	Streams time.Duration // until streams are cut
	Within  time.Duration // until everything is
}

// report is what the elder tells.
type report struct {
	Done  uint64 // the message with that Seq has been done
	Error string `json:",omitempty"`
	Left  bool   `json:",omitempty"` // nothing is accepted any more
}

const (
	maxChange = 64 << 20
	maxReport = 1 << 20
)
