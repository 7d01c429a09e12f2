package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The wire protocol's op codes that drivers of today use: OP_MSG for all, and
// OP_QUERY with its OP_REPLY for the first hello of a connection.
const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013

	headerSize = 16
	// maxMessage is MongoDB's own limit for one message.
	maxMessage = 48_000_000

	flagChecksum   = 1 << 0
	flagMoreToCome = 1 << 1
)

// errGone: the client closed its connection between two messages.
var errGone = errors.New("client gone")

// message is one command of a client.
type message struct {
	id, op  int32
	command bson.Raw
	quiet   bool // the client wants no answer
}

// readMessage reads one message and its command; document sequences (how
// drivers send the documents of an insert) become fields of the command.
func readMessage(r io.Reader) (message, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return message{}, fmt.Errorf("%w: %w", errGone, err)
	}
	size := int32(binary.LittleEndian.Uint32(header[0:]))
	m := message{
		id: int32(binary.LittleEndian.Uint32(header[4:])),
		op: int32(binary.LittleEndian.Uint32(header[12:])),
	}
	if size < headerSize || size > maxMessage {
		return m, fmt.Errorf("read message: size %d out of bounds", size)
	}
	var buf bytes.Buffer // grows with what really arrives, not with what was announced
	if _, err := io.CopyN(&buf, r, int64(size-headerSize)); err != nil {
		return m, fmt.Errorf("read message: %w", err)
	}
	var err error
	switch m.op {
	case opMsg:
		m.command, m.quiet, err = parseMsg(buf.Bytes())
	case opQuery:
		m.command, err = parseQuery(buf.Bytes())
	default:
		err = fmt.Errorf("op code %d is not spoken here", m.op)
	}
	return m, err
}

// parseMsg reads an OP_MSG's body: flags, then sections of kind 0 (the command)
// and kind 1 (a named sequence of documents).
func parseMsg(body []byte) (command bson.Raw, quiet bool, err error) {
	if len(body) < 4 {
		return nil, false, errors.New("read OP_MSG: too short")
	}
	flags := binary.LittleEndian.Uint32(body)
	body = body[4:]
	if flags&flagChecksum != 0 {
		if len(body) < 4 {
			return nil, false, errors.New("read OP_MSG: too short for its checksum")
		}
		body = body[:len(body)-4]
	}
	var sequences bson.D
	for len(body) > 0 {
		kind := body[0]
		body = body[1:]
		switch kind {
		case 0:
			if command, body, err = cutDocument(body); err != nil {
				return nil, false, err
			}
		case 1:
			var sequence bson.E
			if sequence, body, err = cutSequence(body); err != nil {
				return nil, false, err
			}
			sequences = append(sequences, sequence)
		default:
			return nil, false, fmt.Errorf("read OP_MSG: unknown section kind %d", kind)
		}
	}
	if command == nil {
		return nil, false, errors.New("read OP_MSG: no command")
	}
	if len(sequences) > 0 {
		if command, err = extend(command, sequences); err != nil {
			return nil, false, err
		}
	}
	return command, flags&flagMoreToCome != 0, nil
}

// cutDocument takes one BSON document off the front of b.
func cutDocument(b []byte) (doc bson.Raw, rest []byte, err error) {
	if len(b) < 5 {
		return nil, nil, errors.New("read document: too short")
	}
	size := int64(binary.LittleEndian.Uint32(b))
	if size < 5 || size > int64(len(b)) {
		return nil, nil, fmt.Errorf("read document: size %d out of bounds", size)
	}
	doc = bson.Raw(b[:size])
	if err := doc.Validate(); err != nil {
		return nil, nil, fmt.Errorf("read document: %w", err)
	}
	return doc, b[size:], nil
}

func cutSequence(b []byte) (e bson.E, rest []byte, err error) {
	if len(b) < 4 {
		return e, nil, errors.New("read sequence: too short")
	}
	size := int64(binary.LittleEndian.Uint32(b))
	if size < 5 || size > int64(len(b)) {
		return e, nil, fmt.Errorf("read sequence: size %d out of bounds", size)
	}
	rest, b = b[size:], b[4:size]
	name, b, found := bytes.Cut(b, []byte{0})
	if !found {
		return e, nil, errors.New("read sequence: name without end")
	}
	var docs bson.A
	for len(b) > 0 {
		var doc bson.Raw
		if doc, b, err = cutDocument(b); err != nil {
			return e, nil, err
		}
		docs = append(docs, doc)
	}
	return bson.E{Key: string(name), Value: docs}, rest, nil
}

func extend(command bson.Raw, fields bson.D) (bson.Raw, error) {
	elements, err := command.Elements()
	if err != nil {
		return nil, fmt.Errorf("read command: %w", err)
	}
	all := make(bson.D, 0, len(elements)+len(fields))
	for _, e := range elements {
		all = append(all, bson.E{Key: e.Key(), Value: e.Value()})
	}
	return bson.Marshal(append(all, fields...))
}

// parseQuery reads an OP_QUERY's body: flags, the collection's name, two
// numbers, the command.
func parseQuery(body []byte) (bson.Raw, error) {
	if len(body) < 4 {
		return nil, errors.New("read OP_QUERY: too short")
	}
	_, rest, found := bytes.Cut(body[4:], []byte{0})
	if !found || len(rest) < 8 {
		return nil, errors.New("read OP_QUERY: too short")
	}
	doc, _, err := cutDocument(rest[8:])
	return doc, err
}

// reply writes the answer in the form that the message asks for.
func (m message) reply(w io.Writer, answer bson.D) error {
	doc, err := bson.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	var body []byte
	op := int32(opMsg)
	if m.op == opQuery {
		op = opReply
		body = binary.LittleEndian.AppendUint32(body, 0) // flags
		body = binary.LittleEndian.AppendUint64(body, 0) // cursor
		body = binary.LittleEndian.AppendUint32(body, 0) // starting from
		body = binary.LittleEndian.AppendUint32(body, 1) // documents
	} else {
		body = binary.LittleEndian.AppendUint32(body, 0) // flags
		body = append(body, 0)                           // section kind
	}
	out := make([]byte, 0, headerSize+len(body)+len(doc))
	out = binary.LittleEndian.AppendUint32(out, uint32(headerSize+len(body)+len(doc)))
	out = binary.LittleEndian.AppendUint32(out, 0)
	out = binary.LittleEndian.AppendUint32(out, uint32(m.id))
	out = binary.LittleEndian.AppendUint32(out, uint32(op))
	_, err = w.Write(append(append(out, body...), doc...))
	return err
}
