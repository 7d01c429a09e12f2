package apiserver

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// eventWriter writes the events of one watch in its agreed form: JSON objects
// one after the other, or protobuf messages each behind its length.
type eventWriter struct {
	server  *Server
	request *request
	control *http.ResponseController
	pending bytes.Buffer
	object  bytes.Buffer
}

// flushFrom bounds what gathers before it is sent.
const flushFrom = 64 << 10

func newEventWriter(s *Server, r *request) *eventWriter {
	return &eventWriter{server: s, request: r, control: http.NewResponseController(r.w)}
}

func (w *eventWriter) write(kind watch.EventType, obj object) error {
	shaped, err := w.shape(kind, obj)
	if err != nil {
		return err
	}
	return w.encode(kind, shaped)
}

// shape leaves the rows out of a bookmark's table: there is no object in it.
func (w *eventWriter) shape(kind watch.EventType, obj object) (runtime.Object, error) {
	if kind == watch.Bookmark && w.request.out.as == asTable {
		return w.request.table(nil, metav1.ListMeta{ResourceVersion: obj.GetResourceVersion()})
	}
	return w.server.shape(w.request, obj)
}

func (w *eventWriter) writeStatus(status *metav1.Status) error { return w.encode(watch.Error, status) }

func (w *eventWriter) encode(kind watch.EventType, obj runtime.Object) error {
	format := w.request.out.format
	w.object.Reset()
	if err := format.codec.Encode(obj, &w.object); err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	if format.binary {
		if err := w.appendFrame(kind); err != nil {
			return err
		}
	} else {
		w.pending.WriteString(`{"type":"` + string(kind) + `","object":`)
		w.pending.Write(bytes.TrimRight(w.object.Bytes(), "\n"))
		w.pending.WriteString("}\n")
	}
	if w.pending.Len() >= flushFrom {
		return w.flush()
	}
	return nil
}

func (w *eventWriter) appendFrame(kind watch.EventType) error {
	event := metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: w.object.Bytes()}}
	frame, err := event.Marshal()
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	w.pending.Write(binary.BigEndian.AppendUint32(nil, uint32(len(frame))))
	w.pending.Write(frame)
	return nil
}

// flush sends what has gathered. A client that does not take it in time has
// its connection cut.
func (w *eventWriter) flush() error {
	err := w.server.timely(w.request, func() error {
		if _, err := w.request.w.Write(w.pending.Bytes()); err != nil {
			return err
		}
		return w.control.Flush()
	})
	w.pending.Reset()
	if w.pending.Cap() > 2*flushFrom {
		w.pending = bytes.Buffer{}
	}
	return err
}
