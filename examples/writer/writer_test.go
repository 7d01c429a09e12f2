package writer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a database that misbehaves where it is told to.
type memory struct {
	mu     sync.Mutex
	keys   map[string]bool
	refuse string // these are not taken
	lose   string // these are acknowledged and lost
}

func (m *memory) Write(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch _, number, _ := strings.Cut(key, "-"); number {
	case m.refuse:
		return errors.New("refused")
	case m.lose:
		return nil
	}
	m.keys[key] = true
	return nil
}

func (m *memory) Has(_ context.Context, key string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys[key], nil
}

func (m *memory) Version(context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.keys) < 10 {
		return "1", nil
	}
	return "2", nil
}

func (m *memory) Close(context.Context) error { return nil }

func TestRunSeesWhatIsRefusedAndWhatIsLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refuse string
		lose   string
		forget bool
		failed int
		lost   int
		err    string
	}{
		"sound":     {},
		"refusing":  {refuse: "1-3", failed: 1, err: "1 failed"},
		"losing":    {lose: "1-3", lost: 1, err: "1 of 30 acknowledged writes are missing"},
		"forgotten": {lose: "1-3", lost: 30, forget: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			db := &memory{keys: map[string]bool{}, refuse: c.refuse, lose: c.lose}
			seen, err := Run(t.Context(), Options{Writers: 2, Interval: time.Second, Duration: 15500 * time.Millisecond, Forget: c.forget}, db)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want %q", name, err, c.err)
			}
			if seen.Acknowledged+seen.Failed != 30 || seen.Failed != c.failed || seen.Found != seen.Acknowledged-c.lost {
				t.Errorf("%s: %+v", name, seen)
			}
			if !slices.Equal(seen.Versions, []string{"1", "2"}) {
				t.Errorf("%s: met versions %v", name, seen.Versions)
			}
		})
	}
}
