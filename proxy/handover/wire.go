package handover

import "skiff/proxy/switchboard"

// message is what the heir tells once it has the sockets. Exactly one field
// besides Seq is set.
type message struct {
	Seq    uint64
	Set    *switchboard.Service `json:",omitempty"`
	Expect *switchboard.Expect  `json:",omitempty"`
	Remove string               `json:",omitempty"` // ID of a back end
	Drain  *switchboard.Drain   `json:",omitempty"`
	Leave  bool                 `json:",omitempty"` // the heir is ready
	Count  bool                 `json:",omitempty"`
}

func (m message) Numbered(seq uint64) message { m.Seq = seq; return m }

// report is what the elder tells.
type report struct {
	Done  uint64 // the message with that Seq has been done
	Error string `json:",omitempty"`
	Left  bool   `json:",omitempty"` // nothing is accepted any more

	Counts switchboard.Counts `json:",omitempty"` // what was counted since the elder began
}

const (
	maxChange = 64 << 20
	maxReport = 64 << 20
)
