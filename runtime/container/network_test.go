package container

import (
	"net/netip"
	"testing"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ subnet, engine, gateway, services, pods string }{
		{"10.208.0.0/20", "10.208.0.0/22", "10.208.3.254", "10.208.4.0/22", "10.208.8.0/21"},
		{"10.9.0.0/16", "10.9.0.0/18", "10.9.63.254", "10.9.64.0/18", "10.9.128.0/17"},
		{"10.9.0.77/28", "10.9.0.64/30", "10.9.0.66", "10.9.0.68/30", "10.9.0.72/29"},
	} {
		r, err := Split(netip.MustParsePrefix(c.subnet))
		if err != nil || r.Engine.String() != c.engine || r.Gateway.String() != c.gateway || r.Services.String() != c.services || r.Pods.String() != c.pods {
			t.Errorf("Split(%s) = %v, %v", c.subnet, r, err)
		}
	}
	for _, bad := range []netip.Prefix{{}, netip.MustParsePrefix("10.0.0.0/29"), netip.MustParsePrefix("fd00::/64")} {
		if r, err := Split(bad); err == nil {
			t.Errorf("Split(%v) = %v, want an error", bad, r)
		}
	}
}
