package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const crashVariable = "SKIFF_STORE_CRASH_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashVariable); path != "" {
		if err := writeForever(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForever is the victim: several writers create, change and delete
// entries, and each prints what has been acknowledged.
func writeForever(path string) error {
	s, err := Open(path)
	if err != nil {
		return err
	}
	failed := make(chan error)
	go func() { failed <- s.Run(context.Background()) }()
	for i := range 4 {
		go func() {
			for n := 0; ; n++ {
				if err := writeOnce(s, fmt.Sprintf("%d-%d-%d", os.Getpid(), i, n), n); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

func writeOnce(s *Store, name string, n int) error {
	ctx, key := context.Background(), pod("a", name)
	value := strings.Repeat(name+" ", 1+n%200)
	revision, err := s.Create(ctx, key, []byte(value))
	if err != nil {
		return err
	}
	fmt.Printf("stored %s %d\n", name, revision)
	if n%3 == 0 {
		if _, err := s.Delete(ctx, key, revision); err != nil {
			return err
		}
		fmt.Printf("deleted %s 0\n", name)
	}
	return nil
}

// What a killed process had acknowledged is there when the file is opened
// again, and what it had deleted is not.
func TestKilledWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	acknowledged := map[string]uint64{}
	for range 8 {
		killWriter(t, path, time.Duration(20+rand.IntN(150))*time.Millisecond, acknowledged)
		checkAcknowledged(t, path, acknowledged)
	}
	if len(acknowledged) == 0 {
		t.Error("nothing was ever acknowledged")
	}
}

// killWriter kills a writer some time after its first acknowledgement.
func killWriter(t *testing.T, path string, after time.Duration, acknowledged map[string]uint64) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(self)
	victim.Env = append(os.Environ(), crashVariable+"="+path)
	victim.Stderr = os.Stderr
	output, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var kill *time.Timer
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // a line cut off by the kill is no acknowledgement
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				t.Fatal(err)
			}
			break
		}
		if kill == nil {
			kill = time.AfterFunc(after, func() { _ = victim.Process.Kill() })
		}
		note(t, line, acknowledged)
	}
	var exit *exec.ExitError
	if err := victim.Wait(); !errors.As(err, &exit) || exit.ProcessState.Exited() {
		t.Fatalf("the writer ended by itself: %v", err)
	}
}

// note keeps what a line acknowledges: revision 0 stands for a deletion.
func note(t *testing.T, line string, acknowledged map[string]uint64) {
	t.Helper()
	var verb, name string
	var revision uint64
	if _, err := fmt.Sscan(line, &verb, &name, &revision); err != nil {
		t.Fatalf("line %q: %v", line, err)
	}
	acknowledged[name] = revision
}

func checkAcknowledged(t *testing.T, path string, acknowledged map[string]uint64) {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for name, revision := range acknowledged {
		entry, err := s.Get(pod("a", name))
		switch {
		case revision == 0 && !errors.Is(err, ErrNotFound):
			t.Errorf("%s was deleted, but: %v", name, err)
		case revision != 0 && errors.Is(err, ErrNotFound) && deletedNext(t, name):
			// Its deletion was on disk, and not yet acknowledged.
		case revision != 0 && err != nil:
			t.Errorf("%s: %v", name, err)
		case revision != 0 && (entry.Modified != revision || !strings.HasPrefix(string(entry.Value), name+" ")):
			t.Errorf("%s: revision %d with %q, want %d", name, entry.Modified, entry.Value, revision)
		}
		if revision > s.Revision() {
			t.Errorf("%s was written at %d, but the store is at %d", name, revision, s.Revision())
		}
	}
}

func deletedNext(t *testing.T, name string) bool {
	var pid, i, n int
	if _, err := fmt.Sscanf(name, "%d-%d-%d", &pid, &i, &n); err != nil {
		t.Fatal(err)
	}
	return n%3 == 0
}
