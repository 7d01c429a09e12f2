package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// How much of an answer is read. A probe needs none of it, but some servers
// log an error when their answer is not taken.
const maxBody = 10 << 10

func (p *Prober) tryHTTP(ctx context.Context, get *corev1.HTTPGetAction, address string, timeout time.Duration) (Result, string, error) {
	req, err := request(ctx, get, address)
	if err != nil {
		return Unknown, "", err
	}
	client := &http.Client{Transport: p.transport, Timeout: timeout, CheckRedirect: stayOnHost}
	answer, err := client.Do(req)
	if err != nil {
		return Failure, err.Error(), nil
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if err != nil {
		return Failure, err.Error(), nil
	}
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return Success, string(body), nil
	case code >= 300 && code < 400:
		return Warning, "Probe terminated redirects, Response body: " + string(body), nil
	default:
		// Without the body: events are read by more people than the Pod's
		// answers should be.
		return Failure, fmt.Sprintf("HTTP probe failed with statuscode: %d", code), nil
	}
}

func request(ctx context.Context, get *corev1.HTTPGetAction, address string) (*http.Request, error) {
	target, err := url.Parse(get.Path)
	if err != nil {
		target = &url.URL{Path: get.Path} // accepted by the API, so asked as it is
	}
	target.Scheme = strings.ToLower(or(string(get.Scheme), "http"))
	target.Host = address
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make probe request: %w", err)
	}
	for _, h := range get.HTTPHeaders {
		req.Header.Add(h.Name, h.Value)
	}
	req.Host = req.Header.Get("Host") // empty: the address
	if _, set := req.Header["User-Agent"]; !set {
		req.Header.Set("User-Agent", userAgent)
	}
	// An empty Accept asks for none.
	if accept, set := req.Header["Accept"]; !set {
		req.Header.Set("Accept", "*/*")
	} else if accept[0] == "" {
		req.Header.Del("Accept")
	}
	return req, nil
}

// stayOnHost follows redirects within the Pod. One to elsewhere says nothing
// about the Pod and is not followed: it is a warning.
func stayOnHost(req *http.Request, via []*http.Request) error {
	if req.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}
