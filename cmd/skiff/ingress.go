package main

import (
	"fmt"
	"strconv"
	"strings"

	"skiff/orchestrator"
)

// ingressPorts reads "80,443", or "off", which is nil.
func ingressPorts(text string) (*orchestrator.IngressPorts, error) {
	if text == "off" {
		return nil, nil
	}
	http, https, _ := strings.Cut(text, ",")
	var ports orchestrator.IngressPorts
	for _, port := range []struct {
		text string
		to   *int
	}{{http, &ports.HTTP}, {https, &ports.HTTPS}} {
		number, err := strconv.ParseUint(port.text, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("--ingress %s: not two ports such as %s, nor off", text, defaultIngress)
		}
		*port.to = int(number)
	}
	if ports.HTTP == ports.HTTPS && ports.HTTP != 0 {
		return nil, fmt.Errorf("--ingress %s: HTTP and HTTPS need a port each", text)
	}
	return &ports, nil
}
