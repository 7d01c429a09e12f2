package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// contestant is one way to the back end.
type contestant struct {
	name, address string
	process       *process // nil: nothing is in between
}

// stage is the back end and all contestants, running.
type stage struct {
	directory string
	processes []*process
	http, tcp []contestant
}

// The rivals as their manuals advise for speed: a process or thread for each
// core, and connections to the back end that are kept.
const nginxConfig = `daemon off;
worker_processes auto;
pid %[1]s/nginx.pid;
error_log /dev/null;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  keepalive_requests 100000000;
  upstream backend { server %[2]s; keepalive 256; keepalive_requests 100000000; }
  server {
    listen %[3]s backlog=4096;
    location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`

const haproxyConfig = `global
  nbthread 2
  maxconn 4096
defaults
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
listen web
  mode http
  bind %[3]s
  server backend %[2]s
listen tcp
  mode tcp
  bind %[4]s
  server backend %[2]s
`

func newStage(ctx context.Context, profile string) (*stage, error) {
	for _, tool := range []string{"nginx", "haproxy", "wrk"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s is missing: as root on Debian or Ubuntu \"make bench-proxy\" installs it", tool)
		}
	}
	directory, err := os.MkdirTemp("", "proxybench")
	if err != nil {
		return nil, err
	}
	s := &stage{directory: directory}
	if err := s.start(ctx, profile); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

func (s *stage) start(ctx context.Context, profile string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	nginx, haproxy := filepath.Join(s.directory, "nginx.conf"), filepath.Join(s.directory, "haproxy.cfg")
	for path, text := range map[string]string{
		nginx:   fmt.Sprintf(nginxConfig, s.directory, backendAddress, nginxAddress),
		haproxy: fmt.Sprintf(haproxyConfig, s.directory, backendAddress, haproxyAddress, haproxyTCPAddress),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	started := map[string]*process{}
	for _, p := range []struct {
		address string
		command []string
	}{
		{backendAddress, []string{self, "-role", "backend"}},
		{nginxAddress, []string{"nginx", "-p", s.directory, "-c", nginx}},
		{haproxyAddress, []string{"haproxy", "-db", "-f", haproxy}},
		{skiffAddress, []string{self, "-role", "skiff", "-cpuprofile", profile}},
	} {
		if started[p.address], err = s.launch(ctx, p.address, p.command); err != nil {
			return err
		}
	}
	s.http = []contestant{
		{"direct", backendAddress, nil},
		{"nginx", nginxAddress, started[nginxAddress]},
		{"haproxy", haproxyAddress, started[haproxyAddress]},
		{"skiff", skiffAddress, started[skiffAddress]},
	}
	s.tcp = []contestant{
		{"direct", backendAddress, nil},
		{"haproxy", haproxyTCPAddress, started[haproxyAddress]},
		{"skiff", skiffTCPAddress, started[skiffAddress]},
	}
	return nil
}

// launch starts a process and waits until it listens.
func (s *stage) launch(ctx context.Context, address string, command []string) (*process, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	s.processes = append(s.processes, p)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return p, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline:
			return nil, fmt.Errorf("%s does not listen at %s: %w", command[0], address, err)
		case <-tick.C:
		}
	}
}

func (s *stage) end() {
	for _, p := range s.processes {
		p.cmd.Process.Signal(syscall.SIGTERM)
		p.cmd.Wait()
	}
	os.RemoveAll(s.directory)
}
