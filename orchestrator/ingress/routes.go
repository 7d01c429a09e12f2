package ingress

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"skiff/proxy"
	"skiff/proxy/http1"
	"skiff/proxy/route"
)

// routes are what is served at a moment.
type routes struct {
	table    *route.Table[target]
	unserved *route.Table[target] // what would be, each with the reason why it is not
	hosts    string               // for who asks for another one
}

func newRoutes(rules, unserved []rule) (*routes, []int) {
	table, hidden := route.New(rules)
	const shown = 10
	hosts := table.Hosts()
	text := strings.Join(hosts[:min(shown, len(hosts))], ", ")
	switch more := len(hosts) - shown; {
	case len(hosts) == 0:
		text = "no host has one"
	case more > 0:
		text = fmt.Sprintf("the hosts are %s and %d more", text, more)
	default:
		text = "the hosts are " + text
	}
	others, _ := route.New(unserved)
	return &routes{table, others, text}, hidden
}

// Route is where a request goes that came to one of the doors.
func (c *Controller) Route(host, path string) (proxy.Destination, error) {
	r := c.routes.Load()
	to, err := r.table.Find(host, path)
	switch {
	case errors.Is(err, route.ErrAmbiguous):
		return proxy.Destination{}, &http1.Refusal{Status: http.StatusBadRequest, Reason: err.Error()}
	case err != nil:
		return proxy.Destination{}, &http1.Refusal{Status: http.StatusNotFound, Reason: r.missing(host, path, err)}
	case to.reason != "":
		return proxy.Destination{}, &http1.Refusal{Status: http.StatusServiceUnavailable, Reason: to.reason}
	}
	if to.secure {
		to.to.HTTPS = int(c.secure.Load())
	}
	return to.to, nil
}

// missing says why nothing was found.
func (r *routes) missing(host, path string, err error) string {
	if would, none := r.unserved.Find(host, path); none == nil {
		return would.reason
	}
	if errors.Is(err, route.ErrNoHost) {
		return fmt.Sprintf("no Ingress and no Service has host %q: %s", short(host), r.hosts)
	}
	return fmt.Sprintf("no Ingress has path %q at host %q: %s", short(path), short(host), r.hosts)
}

// short keeps what a client sent from filling the answer.
func short(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
