package main_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// talksAsKubectl has sessions with the Pod life and the Service web.
func talksAsKubectl(t *testing.T, i *instance) {
	t.Helper()
	if got := must(t, i.skiff, "exec", "life", "-c", "app", "--", "life", "cat", "/etc/hostname"); got != "life\n" {
		t.Errorf("skiff exec: %q", got)
	}
	if r := try(t, i.skiff, "exec", "life", "-c", "app", "--", "life", "exit", "9"); r.code != 9 || r.err != "command terminated with exit code 9\n" {
		t.Errorf("skiff exec of what fails: %v", r)
	}
	echo := i.skiff(t.Context(), "exec", "-i", "pod/life", "-c", "app", "--", "life", "cat")
	echo.Stdin = strings.NewReader("said\n")
	if r := finish(t, echo); r.code != 0 || r.out != "said\n" {
		t.Errorf("skiff exec -i: %v", r)
	}
	i.write(t, "more", "and forth\n")
	must(t, i.skiff, "cp", "more", "life:/more", "-c", "app")
	must(t, i.skiff, "cp", "default/life:/more", "returned", "-c", "app")
	if got := read(t, i.work+"/returned"); got != "and forth\n" {
		t.Errorf("skiff cp there and back: %q", got)
	}
	web, _, _ := strings.Cut(must(t, i.skiff, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}"), " ")
	for _, command := range [][]string{{"cp", "more", web + ":/more"}, {"cp", web + ":/web", "got"}} {
		if r := try(t, i.skiff, command...); r.code != 1 || !strings.HasPrefix(r.err, "error: container web does not run tar, which cp needs: ") ||
			strings.Count(r.err, "\n") != 1 {
			t.Errorf("skiff %v where there is no tar: %v", command, r)
		}
	}
	interrupts(t, i)
	urls := strings.Fields(must(t, i.skiff, "url", "service/web"))
	if len(urls) != 2 || !strings.HasPrefix(urls[1], "http://web.localhost") {
		t.Errorf("skiff url: %q", urls)
	}
	for _, url := range urls {
		if !answers(t, url) {
			t.Errorf("skiff url: nobody answers at %q", url)
		}
	}
	forward := follow(t, i.skiff(t.Context(), "port-forward", "service/web", ":http")).until("Forwarding from 127.0.0.1:")
	address, port, _ := strings.Cut(strings.TrimPrefix(forward, "Forwarding from "), " -> ")
	if port != "8080" || !answers(t, "http://"+address) {
		t.Errorf("skiff port-forward: nobody answers where it says %q", forward)
	}
}

// interrupts presses Ctrl-C in sessions: they end, and nothing is said of it.
func interrupts(t *testing.T, i *instance) {
	t.Helper()
	for _, command := range [][]string{
		{"attach", "-qi", "life", "-c", "open"},
		{"exec", "-i", "life", "-c", "app", "--", "life", "cat"},
	} {
		cmd := i.skiff(t.Context(), command...)
		say, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		session := follow(t, cmd)
		if _, err := io.WriteString(say, "heard\n"); err != nil {
			t.Fatal(err)
		}
		session.until("heard")
		session.interrupt()
		for line := range session.lines {
			t.Errorf("skiff %v, interrupted: %q", command, line)
		}
		_ = session.wait()
		if code := session.cmd.ProcessState.ExitCode(); code != 130 {
			t.Errorf("skiff %v, interrupted: exit code %d", command, code)
		}
	}
}

// completes presses TAB after some words.
func completes(t *testing.T, i *instance) {
	t.Helper()
	for _, test := range []struct{ words, want string }{
		{"get deploym", "deployments"},
		{"get service ", "web"},
		{"rollout status deployment/", "deployment/web"},
		{"logs li", "life"},
		{"exec life -c ", "listener"},
		{"logs deployment/web -c ", "web"},
		{"get pods -n def", "default"},
		{"url ", "web"},
		{"cp li", "life:"},
	} {
		out := must(t, i.skiff, append([]string{"__complete"}, strings.Split(test.words, " ")...)...)
		if !slices.Contains(strings.Split(out, "\n"), test.want) {
			t.Errorf("skiff %s<TAB>: %q is not offered: %q", test.words, test.want, out)
		}
	}
}

// answers says whether the web example is there. Names below localhost are this
// machine, as they are for a browser.
func answers(t *testing.T, url string) bool {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(address)
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	}}
	res, err := client.Get(url)
	if err != nil {
		t.Log(err)
		return false
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	return err == nil && strings.HasPrefix(string(text), "version ")
}
