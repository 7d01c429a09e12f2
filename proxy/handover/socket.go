// Package handover passes what one process serves on to the next one of the
// same user: its open sockets, over a socket in the file system, and then, for
// as long as connections are left with the elder process, every change of what
// is behind them, each acknowledged.
package handover

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// ErrUnsupported: the system does not pass sockets between processes.
var ErrUnsupported = errors.New("this system does not hand open sockets from one process to another")

// ErrStranger: the other process is not this user's.
var ErrStranger = errors.New("the other process is another user's")

const (
	maxMessage = 64 << 20
	maxFiles   = 16 << 10
	atOnce     = 200 // files; Linux takes 253 with one byte
)

// Listen opens the socket at which an heir asks. Only this user can reach it.
// What lies at the path is replaced: the caller sees to it that nobody uses it.
func Listen(path string) (*net.UnixListener, error) {
	if !supported {
		return nil, ErrUnsupported
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("make room for %s: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for an heir: %w", err)
	}
	l.SetUnlinkOnClose(false) // an heir may have it
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Conn is a connection of two processes of one user.
type Conn struct {
	*net.UnixConn
	Process int // number of the other one, 0 where the system does not tell
}

// Dial connects to the process that listens at path.
func Dial(ctx context.Context, path string) (Conn, error) {
	if !supported {
		return Conn{}, ErrUnsupported
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return Conn{}, fmt.Errorf("ask the process that runs: %w", err)
	}
	return known(conn.(*net.UnixConn))
}

// Accept waits for the next process that asks. A stranger is an error; the
// listener goes on.
func Accept(l *net.UnixListener) (Conn, error) {
	conn, err := l.AcceptUnix()
	if err != nil {
		return Conn{}, err
	}
	return known(conn)
}

// Pair is a connection of this process with the one that gets the file.
func Pair() (own Conn, theirs *os.File, err error) {
	mine, theirs, err := socketPair()
	if err != nil {
		return Conn{}, nil, fmt.Errorf("make a connection for the heir: %w", err)
	}
	if own, err = Over(mine); err != nil {
		return Conn{}, nil, errors.Join(err, theirs.Close())
	}
	return own, theirs, nil
}

// Over is a connection that came as a file, which it closes.
func Over(file *os.File) (Conn, error) {
	conn, err := net.FileConn(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return Conn{}, err
	}
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return Conn{}, errors.Join(errors.New("what came is no connection of processes"), conn.Close())
	}
	return Conn{UnixConn: socket}, nil
}

// known gives a connection whose other end is this user's, or the system's
// administrator's.
func known(conn *net.UnixConn) (Conn, error) {
	var user, process int
	raw, err := conn.SyscallConn()
	if err == nil {
		failed := raw.Control(func(fd uintptr) { user, process, err = peer(int(fd)) })
		err = errors.Join(failed, err)
	}
	if err == nil && user != 0 && user != os.Geteuid() {
		err = ErrStranger
	}
	if err != nil {
		return Conn{}, errors.Join(err, conn.Close())
	}
	return Conn{conn, process}, nil
}

// Send sends a value, and open files or sockets with it. They stay open here.
func (c Conn) Send(value any, files ...syscall.Conn) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	head = binary.BigEndian.AppendUint32(head, uint32(len(files)))
	if _, err := c.Write(append(head, text...)); err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	for len(files) > 0 {
		n := min(len(files), atOnce)
		if err := c.sendFiles(files[:n]); err != nil {
			return fmt.Errorf("send sockets: %w", err)
		}
		files = files[n:]
	}
	return nil
}

// Receive reads a value and the files that came with it, which are the
// caller's to close.
func (c Conn) Receive(value any) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			files = nil
		}
	}()
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, fmt.Errorf("receive message: %w", err)
	}
	length, count := binary.BigEndian.Uint32(head[:4]), int(binary.BigEndian.Uint32(head[4:]))
	if length > maxMessage || count > maxFiles {
		return nil, fmt.Errorf("receive message: %d bytes and %d files are too much", length, count)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(c, text); err != nil {
		return nil, fmt.Errorf("receive message: %w", err)
	}
	for len(files) < count {
		more, err := c.receiveFiles(min(count-len(files), atOnce))
		files = append(files, more...)
		if err != nil {
			return files, fmt.Errorf("receive sockets: %w", err)
		}
	}
	if err := json.Unmarshal(text, value); err != nil {
		return files, fmt.Errorf("read message: %w", err)
	}
	return files, nil
}
