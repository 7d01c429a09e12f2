package docker

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"skiff/runtime/container"
)

// Identity says as whom the engine runs an image's program for a user, written as
// in container.Security. The engine does not tell; what the image's own files make
// of the user is looked up once for each image.
func (e *Engine) Identity(ctx context.Context, pod container.Pod, image, user string) (container.Identity, error) {
	if uid, gid, both := numbers(user); both {
		return container.Identity{UID: uid, GID: gid}, nil
	}
	accounts, err := e.accountsOf(ctx, pod, image)
	if err != nil {
		return container.Identity{}, err
	}
	return accounts.identity(user)
}

// numbers reads a user for whom no file is asked.
func numbers(user string) (uid, gid int64, both bool) {
	u, g, _ := strings.Cut(user, ":")
	uid, err := strconv.ParseInt(u, 10, 32)
	gid, groupErr := strconv.ParseInt(g, 10, 32)
	return uid, gid, err == nil && groupErr == nil
}

// accounts are the users and groups of an image.
type accounts struct {
	users  []account
	groups []account
}

// account is a line of /etc/passwd, with the user's group, or of /etc/group, with
// its members.
type account struct {
	name    string
	id, gid int64
	members []string
}

// unreadableFor is how long it is remembered that an image's files could not be
// read: else each start of a container would try again, and wait for it.
const unreadableFor = 10 * time.Minute

// reading is what came of an attempt to read an image's files.
type reading struct {
	accounts
	err error
	at  time.Time
}

// accountsOf reads an image's files, once for all that ask at the same time.
func (e *Engine) accountsOf(ctx context.Context, pod container.Pod, image string) (accounts, error) {
	for {
		if known, ok := e.accounts.Load(image); ok {
			if r := known.(reading); r.err == nil || time.Since(r.at) < unreadableFor {
				return r.accounts, r.err
			}
		}
		found, err, _ := e.readers.Do(image, func() (any, error) {
			a, err := e.readAccounts(ctx, pod, image)
			if ctx.Err() == nil && !errors.Is(err, container.ErrUnavailable) {
				e.accounts.Store(image, reading{a, err, time.Now()})
			}
			return a, err
		})
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.Canceled) {
			return found.(accounts), err
		} // else whoever was the first to ask has gone
	}
}

func (e *Engine) readAccounts(ctx context.Context, pod container.Pod, image string) (a accounts, err error) {
	err = e.viewImage(ctx, pod, image, func(id string) error {
		users, err := e.readSmall(ctx, id, "/etc/passwd")
		if err != nil {
			return err
		}
		groups, err := e.readSmall(ctx, id, "/etc/group")
		a = accounts{users: parseAccounts(users, 3), groups: parseAccounts(groups, -1)}
		return err
	})
	return a, failure("read the image's users", err)
}

// smallFile bounds what is read of a file that should be small.
const smallFile = 1 << 20

// readSmall reads a file of a viewer's; one that is not there is empty.
func (e *Engine) readSmall(ctx context.Context, viewer, path string) ([]byte, error) {
	content, _, err := e.api.CopyFromContainer(ctx, viewer, path)
	if cerrdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failure("read "+path+" of the image", err)
	}
	defer content.Close()
	archive := tar.NewReader(content)
	if _, err := archive.Next(); err != nil {
		return nil, fmt.Errorf("read %s of the image: %w", path, err)
	}
	return io.ReadAll(io.LimitReader(archive, smallFile))
}

// parseAccounts reads lines of fields between colons: a name, a password, a
// number, and, in the column named, a user's group; else a group's members. What
// cannot be read is left out.
func parseAccounts(text []byte, groupColumn int) []account {
	var out []account
	for line := range bytes.Lines(text) {
		fields := strings.Split(strings.TrimSpace(string(line)), ":")
		if len(fields) < 4 {
			continue
		}
		a, err := account{name: fields[0]}, error(nil)
		if a.id, err = strconv.ParseInt(fields[2], 10, 32); err != nil {
			continue
		}
		if groupColumn < 0 {
			a.members = strings.Split(fields[3], ",")
		} else if a.gid, err = strconv.ParseInt(fields[groupColumn], 10, 32); err != nil {
			continue
		}
		out = append(out, a)
	}
	return out
}

// identity follows the engine: an image's groups count unless a group is asked
// for.
func (a accounts) identity(user string) (container.Identity, error) {
	name, group, _ := strings.Cut(user, ":")
	entry, err := find(a.users, cmp.Or(name, "0"))
	if err != nil {
		return container.Identity{}, fmt.Errorf("look for user: %w", err)
	}
	id := container.Identity{UID: entry.id, GID: entry.gid}
	if group != "" {
		asked, err := find(a.groups, group)
		if err != nil {
			return container.Identity{}, fmt.Errorf("look for group: %w", err)
		}
		id.GID = asked.id
		return id, nil
	}
	for _, g := range a.groups {
		if entry.name != "" && slices.Contains(g.members, entry.name) {
			id.Groups = append(id.Groups, g.id)
		}
	}
	return id, nil
}

// find looks for an account by its number or its name. A number without an entry
// stands for itself.
func find(list []account, key string) (account, error) {
	number, notNumber := strconv.ParseInt(key, 10, 32)
	for _, a := range list {
		if notNumber == nil && a.id == number || notNumber != nil && a.name == key {
			return a, nil
		}
	}
	if notNumber != nil {
		return account{}, fmt.Errorf("the image has no %q", key)
	}
	return account{id: number}, nil
}
