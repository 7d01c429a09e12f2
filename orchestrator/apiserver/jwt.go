package apiserver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"skiff/orchestrator/resource"
)

// issuer is what tokens say of who made them, and the audience they are for
// where nobody asks for another: the name of the API within the cluster.
const issuer = "https://kubernetes.default.svc." + resource.Domain

// claims are what a service account's token says, in the words of Kubernetes.
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  []string `json:"aud"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	ID        string   `json:"jti"`
	Bound     boundTo  `json:"kubernetes.io"`
}

type boundTo struct {
	Namespace      string `json:"namespace"`
	ServiceAccount named  `json:"serviceaccount"`
	Pod            *named `json:"pod,omitempty"`
}

type named struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// The one kind of token that is made and taken: what a token says of its own
// algorithm decides nothing.
const tokenHeader = `{"alg":"ES256","typ":"JWT"}`

// Both halves of a signature take as many bytes as a number of the curve.
const signatureHalf = 32

var errBadToken = errors.New("the token is not one of this instance")

// signToken makes a JSON web token.
func signToken(key crypto.Signer, c claims) (string, error) {
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return "", fmt.Errorf("sign token: key of type %T", key)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	text := encodePart([]byte(tokenHeader)) + "." + encodePart(payload)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	signature := make([]byte, 2*signatureHalf)
	r.FillBytes(signature[:signatureHalf])
	s.FillBytes(signature[signatureHalf:])
	return text + "." + encodePart(signature), nil
}

// parseToken reads a token that was signed with the key and is good now.
func parseToken(key crypto.PublicKey, token string, now time.Time) (claims, error) {
	var c claims
	public, ok := key.(*ecdsa.PublicKey)
	at := strings.LastIndexByte(token, '.')
	if !ok || at < 0 {
		return c, errBadToken
	}
	signature, err := decodePart(token[at+1:])
	if err != nil || len(signature) != 2*signatureHalf {
		return c, errBadToken
	}
	sum := sha256.Sum256([]byte(token[:at]))
	r, s := new(big.Int).SetBytes(signature[:signatureHalf]), new(big.Int).SetBytes(signature[signatureHalf:])
	if !ecdsa.Verify(public, sum[:], r, s) {
		return c, errBadToken
	}
	header, payload, _ := strings.Cut(token[:at], ".")
	content, err := decodePart(payload)
	if err != nil || header != encodePart([]byte(tokenHeader)) {
		return c, errBadToken
	}
	if err := json.Unmarshal(content, &c); err != nil {
		return c, fmt.Errorf("decode token: %w", err)
	}
	if unix := now.Unix(); unix < c.NotBefore || unix >= c.Expires || c.Issuer != issuer {
		return c, errBadToken
	}
	return c, nil
}

func encodePart(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decodePart(s string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(s) }
