package gateway

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
)

// ConfigEnv is the variable by which a gateway gets its Config.
const ConfigEnv = "SKIFF_GATEWAY"

// Ports of the gateway's own address.
const (
	controlPort = 7444
	dnsPort     = 53
)

// protocol is how daemon and gateway speak to each other. A daemon goes on with
// a gateway of another version that speaks the same, so that an upgrade cuts
// nothing between Pods: it is counted up when they would misunderstand each other.
const protocol = 1

// Config is what a gateway knows from its start on.
type Config struct {
	Protocol int
	Address  netip.Addr   // its own, where it answers DNS and the daemon
	Services netip.Prefix // the ClusterIPs, which become its own, too
	Domain   string       // of the DNS
	Identity []byte
}

// NewConfig makes the configuration of a gateway with an identity.
func NewConfig(address netip.Addr, services netip.Prefix, domain string, i Identity) Config {
	return Config{Protocol: protocol, Address: address, Services: services, Domain: domain, Identity: i.pem}
}

// Encode writes the configuration as the variable wants it.
func (c Config) Encode() (string, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("write the gateway's configuration: %w", err)
	}
	return base64.StdEncoding.EncodeToString(text), nil
}

// ReadConfig reads what Encode wrote.
func ReadConfig(encoded string) (Config, error) {
	var c Config
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, fmt.Errorf("read the gateway's configuration: %w", err)
	}
	return c, nil
}

func (c Config) control() string { return netip.AddrPortFrom(c.Address, controlPort).String() }
func (c Config) dns() string     { return netip.AddrPortFrom(c.Address, dnsPort).String() }
