package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/google/go-cmp/cmp"

	"skiff/runtime/container"
)

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\n\nbroken\nweb:x:101:102:Web,,,:/:/sbin/nologin\nodd:x:one:1::/:\n"
	groups = "root:x:0:\nwheel:x:10:other,root\nweb:x:102:\nlogs:x:103:web\n"
)

func TestIdentities(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want container.Identity
		err  string
	}{
		"":         {want: container.Identity{Groups: []int64{10}}},
		"root":     {want: container.Identity{Groups: []int64{10}}},
		"web":      {want: container.Identity{UID: 101, GID: 102, Groups: []int64{103}}},
		"101":      {want: container.Identity{UID: 101, GID: 102, Groups: []int64{103}}},
		"web:logs": {want: container.Identity{UID: 101, GID: 103}},
		"web:7":    {want: container.Identity{UID: 101, GID: 7}},
		":web":     {want: container.Identity{GID: 102}},
		"7":        {want: container.Identity{UID: 7}},
		"nobody":   {err: `look for user: the image has no "nobody"`},
		"web:none": {err: `look for group: the image has no "none"`},
	}
	a := accounts{users: parseAccounts([]byte(passwd), 3), groups: parseAccounts([]byte(groups), -1)}
	for user, test := range tests {
		got, err := a.identity(user)
		if diff := cmp.Diff(test.want, got); diff != "" || fmt.Sprint(err) != test.err && (err != nil || test.err != "") {
			t.Errorf("user %q: %v (-want +got):\n%s", user, err, diff)
		}
	}
}

// TestUnreadableImage: what cannot be read is not tried again for a while.
func TestUnreadableImage(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	s := spec(t, e)
	late := e.instance + ":late"
	ask := func() error {
		_, err := e.Identity(t.Context(), s.Pod, late, "7")
		return err
	}
	before := ask()
	if err := e.api.ImageTag(t.Context(), s.ImageID, late); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := e.api.ImageRemove(context.Background(), late, image.RemoveOptions{}); err != nil {
			t.Error(err)
		}
	})
	if again := ask(); !errors.Is(before, container.ErrNotFound) || again != before {
		t.Errorf("without the image: %v; again: %v", before, again)
	}
	e.accounts.Store(late, reading{err: before, at: time.Now().Add(-unreadableFor)})
	if err := ask(); err != nil {
		t.Errorf("after a while: %v", err)
	}
}

// TestIdentity compares what is said of a container's user with what the kernel
// says of its process.
func TestIdentity(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	image := imageWithUsers(t, e)
	for _, user := range []string{"", "web", "7", "web:7"} {
		s := spec(t, e, "cat", "/proc/self/status")
		s.ImageID, s.Security.User = image, user
		id := start(t, e, s)
		want := map[string]string{}
		for line := range strings.Lines(endOf(t, e, id)) {
			key, value, _ := strings.Cut(line, ":")
			want[key] = strings.Join(strings.Fields(value), " ")
		}
		got, err := e.Identity(t.Context(), s.Pod, image, user)
		if err != nil {
			t.Fatal(err)
		}
		all := slices.Concat([]int64{got.GID}, got.Groups)
		if uid, _, _ := strings.Cut(want["Uid"], " "); uid != fmt.Sprint(got.UID) {
			t.Errorf("user %q runs as %s, said is %d", user, uid, got.UID)
		}
		if groups := strings.Trim(fmt.Sprint(all), "[]"); !sameGroups(groups, want["Groups"]+" "+strings.Fields(want["Gid"])[0]) {
			t.Errorf("user %q is in the groups %s and %s, said is %s", user, want["Gid"], want["Groups"], groups)
		}
	}
	list, err := e.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.Name == viewerName {
			t.Errorf("left: %+v", c)
		}
	}
}

// endOf is what a container has written when it has ended.
func endOf(t *testing.T, e *Engine, id string) string {
	t.Helper()
	log, err := e.Logs(t.Context(), id, container.LogOptions{Follow: true, Tail: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func sameGroups(a, b string) bool {
	set := func(text string) []string { return slices.Compact(slices.Sorted(slices.Values(strings.Fields(text)))) }
	return slices.Equal(set(a), set(b))
}

// imageWithUsers is the test application's image with users and groups.
func imageWithUsers(t *testing.T, e *Engine) string {
	t.Helper()
	id, err := e.Create(t.Context(), spec(t, e))
	if err != nil {
		t.Fatal(err)
	}
	err = e.put(t.Context(), engineID(id), "/",
		entry{file: fileOf("etc/passwd", []byte(passwd)), mode: 0o644},
		entry{file: fileOf("etc/group", []byte(groups)), mode: 0o644})
	if err != nil {
		t.Fatal(err)
	}
	made, err := e.api.ContainerCommit(t.Context(), engineID(id), dockercontainer.CommitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := e.api.ImageRemove(context.Background(), made.ID, image.RemoveOptions{Force: true}); err != nil {
			t.Errorf("remove image: %v", err)
		}
	})
	return made.ID
}
