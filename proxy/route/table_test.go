package route

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	t.Parallel()
	table, hidden := New([]Rule[string]{
		{Host: "shop.test", Path: "/", To: "shop"},
		{Host: "shop.test", Path: "/cart", To: "cart"},
		{Host: "shop.test", Path: "/cart/pay", Exact: true, To: "pay exactly"},
		{Host: "shop.test", Path: "/cart/pay", To: "pay"},
		{Host: "shop.test", Path: "/cart", To: "too late"},
		{Host: "shop.test", Path: "/caf%c3%a9/", To: "café"},
		{Host: "*.shop.test", Path: "/", To: "any shop"},
		{Host: "*.shop.test", Path: "/", To: "too late"},
		{Host: "Paths.Test", Path: "/a/", To: "a"},
		{Host: "paths.test", Path: "/a/b", Exact: true, To: "ab"},
		{Host: "paths.test", Path: "/c/", Exact: true, To: "c/"},
		{Path: "/all", To: "all"},
	})
	if !slices.Equal(hidden, []int{4, 7}) {
		t.Errorf("hidden rules %v", hidden)
	}
	tests := []struct {
		host, path, want string
		err              error
	}{
		{"shop.test", "/", "shop", nil},
		{"shop.test:8080", "/x/y", "shop", nil},
		{"SHOP.test.", "/", "shop", nil},
		{"shop.test", "*", "shop", nil},
		{"shop.test", "/cart", "cart", nil},
		{"shop.test", "/cart/", "cart", nil},
		{"shop.test", "/cart/x", "cart", nil},
		{"shop.test", "/carts", "shop", nil},
		{"shop.test", "/CART", "shop", nil},
		{"shop.test", "/cart/pay", "pay exactly", nil},
		{"shop.test", "/cart/pay/", "pay", nil},
		{"shop.test", "/cart/pay/now", "pay", nil},
		{"shop.test", "/caf%C3%A9/menu", "café", nil},
		{"shop.test", "/caf\u00e9", "café", nil},
		{"eu.shop.test", "/cart", "any shop", nil},
		{"a.eu.shop.test", "/all", "all", nil},
		{"*.shop.test", "/", "any shop", nil},
		{".shop.test", "/all", "all", nil},
		{"paths.test", "/a", "a", nil},
		{"paths.test", "/a/b", "ab", nil},
		{"paths.test", "/a/b/", "a", nil},
		{"paths.test", "/c/", "c/", nil},
		{"paths.test", "/c", "", ErrNoPath},
		{"paths.test", "/all", "", ErrNoPath},
		{"elsewhere.test", "/all/x", "all", nil},
		{"elsewhere.test", "/", "", ErrNoPath},
		{"", "/all", "all", nil},
		{"[::1]:80", "/all", "all", nil},
	}
	for _, test := range tests {
		got, err := table.Find(test.host, test.path)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s%s: got %q, %v; want %q, %v", test.host, test.path, got, err, test.want, test.err)
		}
	}
	for host, want := range map[string]bool{"shop.test": true, "x.shop.test": true, "elsewhere.test": false} {
		if table.Serves(host) != want {
			t.Errorf("%s is served: %t", host, !want)
		}
	}
	if got := strings.Join(table.Hosts(), " "); got != "*.shop.test paths.test shop.test" {
		t.Errorf("hosts %s", got)
	}
	none, _ := New[string](nil)
	if _, err := none.Find("shop.test", "/"); !errors.Is(err, ErrNoHost) || !none.Empty() {
		t.Errorf("an empty table: %v", err)
	}
}

// What another server would read as a path of /admin does not get around the
// rule for it, and what all read alike is not disturbed.
func TestNoWayAround(t *testing.T) {
	t.Parallel()
	table, _ := New([]Rule[string]{{Path: "/", To: "public"}, {Path: "/admin", To: "admin"}, {Path: "/files", To: "files"}})
	around := []string{
		"//admin", "/x/../admin", "/./admin", "/%2e/admin", "/x/%2e%2E/admin", "/x/.%2e/admin", "/%2fadmin", "/%2Fadmin",
		"/x%2f..%2fadmin", "/x%2f../admin", "/admin%2fx", "/admin/../x", "/admin/..", "/admin%2f..%2fx", "/x//../admin", "/admin//../x",
		`/x\..\admin`, "/x%5c..%5cadmin", "/x/..;/admin", "/x/..;a=b/admin", "/;/admin", "/admin;x", "/x/..%3b/admin",
		"/files/../admin", "/files/..%2fadmin", "/a%2fb/../admin", "/admin%2fa/../x", "///admin", "/admin/%2e%2e/x",
	}
	for _, path := range around {
		if to, err := table.Find("a", path); !errors.Is(err, ErrAmbiguous) {
			t.Errorf("%s leads to %q (%v)", path, to, err)
		}
	}
	for path, want := range map[string]string{
		"/%61dmin": "admin", "/admin/%2e": "admin", "/admin//x": "admin", "/admin/a/../b": "admin", "/admin/a%2fb": "admin",
		"/../x": "public", "/x//y": "public", "/x;v=1/y": "public", "/files/a..b": "files", "/files/.hidden": "files", "/files/...": "files",
		"/files/100%25": "files", "/files/a;v=1": "files", "/.well-known/x": "public", "/x%252f..%252fadmin": "public", "/100%": "public",
	} {
		if to, err := table.Find("a", path); to != want || err != nil {
			t.Errorf("%s leads to %q (%v), want %q", path, to, err, want)
		}
	}
}

func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	rules := make([]Rule[int], MaxRules+2)
	for i := range rules {
		rules[i] = Rule[int]{Host: "a.test", Path: "/" + strconv.Itoa(i), To: i}
	}
	_, hidden := New(rules)
	if !slices.Equal(hidden, []int{MaxRules, MaxRules + 1}) {
		t.Errorf("%d rules are hidden", len(hidden))
	}
}

// Whatever the path, it leads where its most decoded reading leads, or nowhere.
func FuzzFind(f *testing.F) {
	for _, path := range []string{"/", "/admin", "/x/../admin", "//admin", "/%2e%2e/admin", "/a;b/..;/admin", `/\admin`, "/admin/%2F../x", "*", ""} {
		f.Add("a.test", path)
	}
	table, _ := New([]Rule[string]{{Path: "/", To: "public"}, {Path: "/admin", To: "admin"}, {Host: "*.test", Path: "/admin/x", Exact: true, To: "x"}})
	f.Fuzz(func(t *testing.T, host, path string) {
		to, err := table.Find(host, path)
		if (err == nil) != (to != "") {
			t.Fatalf("%q, %v", to, err)
		}
		if err != nil || !strings.HasPrefix(path, "/") {
			return
		}
		clean := nginx(path)
		below := clean == "/admin" || strings.HasPrefix(clean, "/admin/")
		if to == "public" && below || to == "admin" && !below || to == "x" && clean != "/admin/x" {
			t.Fatalf("%q leads to %q, and is %q", path, to, clean)
		}
	})
}

// nginx reads a path as that server does, written another way than the table's
// readings are.
func nginx(path string) string {
	var decoded strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]) && path[i+1:i+3] != "25" {
			decoded.WriteByte(value(path[i+1])<<4 | value(path[i+2]))
			i += 2
			continue
		}
		decoded.WriteByte(path[i])
	}
	var elements []string
	parts := strings.Split(decoded.String(), "/")
	for i, part := range parts {
		last := i == len(parts)-1
		switch {
		case part == "..":
			elements = elements[:max(0, len(elements)-1)]
		case part != "" && part != ".":
			elements = append(elements, part)
		}
		if last && (part == "" || part == "." || part == "..") {
			elements = append(elements, "")
		}
	}
	return "/" + strings.Join(elements, "/")
}
