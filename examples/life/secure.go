package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"time"
)

// listenSecurely serves over HTTPS, with a certificate of its own making that
// nobody has signed.
func listenSecurely(address string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(1, 0, 0)}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	own := tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}
	server := &http.Server{Addr: address, TLSConfig: &tls.Config{Certificates: []tls.Certificate{own}}}
	return server.ListenAndServeTLS("", "")
}
