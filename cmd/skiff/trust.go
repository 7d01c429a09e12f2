package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"skiff/orchestrator"
)

func (p *program) trust() *cobra.Command {
	return spec{
		name:  "trust",
		short: "tell how to trust the certificates that skiff makes for Ingresses",
		long: `An Ingress with TLS and without a Secret is served with a certificate of the
instance's own authority. This command prints how to trust that authority; it
changes nothing. The authority can sign for local names only, such as
web.localhost and store.test, so that nobody who gets hold of its key can pass
for a site of the world.`,
		examples: examples(
			"skiff trust",
			"skiff trust -o pem > skiff-ca.crt && curl --cacert skiff-ca.crt https://web.localhost"),
		flags: func(f *flags) {
			f.String("output", "o", "", "pem prints the certificate of the authority")
		},
		run: p.runTrust,
	}.command()
}

func (p *program) runTrust(c *call) error {
	output := c.String("output")
	if output != "" && output != "pem" {
		return c.usage(fmt.Sprintf("unknown output %q: there is pem", output))
	}
	at, err := locate(c)
	if err != nil {
		return err
	}
	certificate, err := at.paths.Authority()
	if errors.Is(err, orchestrator.ErrNoAuthority) {
		return fmt.Errorf("%w: \"skiff up\" makes it", err)
	}
	if err != nil {
		return err
	}
	if output == "pem" {
		_, err = p.Out.Write(certificate)
		return err
	}
	printf(p.Out, trustText, skiffFor(at.name), at.name)
	return nil
}

const trustText = `First: %[1]s trust -o pem > skiff-ca.crt

Debian, Ubuntu      sudo install -m 644 skiff-ca.crt /usr/local/share/ca-certificates/skiff-%[2]s.crt
                    sudo update-ca-certificates
Fedora, RHEL        sudo install -m 644 skiff-ca.crt /etc/pki/ca-trust/source/anchors/skiff-%[2]s.crt
                    sudo update-ca-trust
macOS               security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db skiff-ca.crt
Windows             certutil -user -addstore Root skiff-ca.crt
Chrome on Linux     certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n skiff-%[2]s -i skiff-ca.crt     (package libnss3-tools)
Firefox             Settings, Certificates, View Certificates, Authorities, Import
one command only    curl --cacert skiff-ca.crt https://…      SSL_CERT_FILE=skiff-ca.crt program

It can sign for local names only (localhost, test, example.com, local, internal, home.arpa and others that
belong to nobody) and for loopback addresses.
`
