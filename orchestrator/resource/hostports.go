package resource

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// HostPortsAnnotation, which skiff writes on a LoadBalancer Service, says which
// ports of the host stand in for those of its own that the system does not let
// the user have: "80/TCP=8080,443/TCP=8443".
const HostPortsAnnotation = "skiff.dev/host-ports"

// FormatHostPorts writes the annotation's value; "" where nothing stands in.
func FormatHostPorts(instead map[string]int32) string {
	var pairs []string
	for _, port := range slices.Sorted(maps.Keys(instead)) {
		pairs = append(pairs, fmt.Sprintf("%s=%d", port, instead[port]))
	}
	return strings.Join(pairs, ",")
}

// ParseHostPorts reads it. What is not understood is left out.
func ParseHostPorts(value string) map[string]int32 {
	instead := map[string]int32{}
	for pair := range strings.SplitSeq(value, ",") {
		port, number, _ := strings.Cut(pair, "=")
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && n > 0 {
			instead[port] = int32(n)
		}
	}
	return instead
}
