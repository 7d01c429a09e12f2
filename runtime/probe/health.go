package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
)

// servingStatus is grpc.health.v1.HealthCheckResponse.ServingStatus.
type servingStatus int32

const serving servingStatus = 1

func (s servingStatus) String() string {
	names := [...]string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}
	if s >= 0 && int(s) < len(names) {
		return names[s]
	}
	return strconv.Itoa(int(s))
}

// checkHealth calls grpc.health.v1.Health/Check: over HTTP/2, a POST of one
// message and its answer, whose outcome is in the trailers.
func checkHealth(ctx context.Context, transport http.RoundTripper, address, service string, timeout time.Duration) (servingStatus, error) {
	target := url.URL{Scheme: "http", Host: address, Path: "/grpc.health.v1.Health/Check"}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(frame(healthRequest(service))))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Grpc-Timeout", grpcTimeout(timeout))
	answer, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if err != nil {
		return 0, err
	}
	if err := outcome(answer); err != nil {
		return 0, err
	}
	return healthAnswer(body)
}

// grpcTimeout is the header's form: at most eight digits and a unit.
func grpcTimeout(timeout time.Duration) string {
	return strconv.FormatInt(min(int64(timeout/time.Second), 99_999_999), 10) + "S"
}

// outcome is nil if the call has succeeded.
func outcome(answer *http.Response) error {
	kind := answer.Header.Get("Content-Type")
	if answer.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "application/grpc") {
		return &rpcError{codeOf(answer.StatusCode), fmt.Sprintf("unexpected HTTP status code received from server: %d (%s); content-type %q",
			answer.StatusCode, http.StatusText(answer.StatusCode), kind)}
	}
	told := answer.Trailer
	if answer.Header.Get("Grpc-Status") != "" { // an answer without a message has its trailers in front
		told = answer.Header
	}
	code, err := strconv.ParseUint(told.Get("Grpc-Status"), 10, 32)
	if err != nil {
		return &rpcError{codes.Internal, "the server closed the stream without a status"}
	}
	if codes.Code(code) == codes.OK {
		return nil
	}
	message := told.Get("Grpc-Message")
	if plain, err := url.PathUnescape(message); err == nil {
		message = plain
	}
	return &rpcError{codes.Code(code), message}
}

// codeOf is what gRPC takes the answer of a server, or of a proxy before it, for
// that does not speak gRPC.
func codeOf(status int) codes.Code {
	switch status {
	case http.StatusBadRequest:
		return codes.Internal
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound:
		return codes.Unimplemented
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return codes.Unavailable
	}
	return codes.Unknown
}

const frameHeader = 5 // a byte that says whether the message is compressed, and its length

func frame(message []byte) []byte {
	framed := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(framed, message...)
}

// healthRequest is HealthCheckRequest{service}.
func healthRequest(service string) []byte {
	if service == "" {
		return nil
	}
	return protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), service)
}

// healthAnswer reads a framed HealthCheckResponse.
func healthAnswer(body []byte) (servingStatus, error) {
	if len(body) < frameHeader || body[0] != 0 || int64(binary.BigEndian.Uint32(body[1:])) != int64(len(body)-frameHeader) {
		return 0, &rpcError{codes.Internal, "the answer is not one uncompressed message"}
	}
	var status servingStatus
	for rest := body[frameHeader:]; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return 0, &rpcError{codes.Internal, "unmarshal the answer: " + protowire.ParseError(n).Error()}
		}
		rest = rest[n:]
		value, n := uint64(0), 0
		if number == 1 && kind == protowire.VarintType {
			value, n = protowire.ConsumeVarint(rest)
			status = servingStatus(value)
		} else {
			n = protowire.ConsumeFieldValue(number, kind, rest)
		}
		if n < 0 {
			return 0, &rpcError{codes.Internal, "unmarshal the answer: " + protowire.ParseError(n).Error()}
		}
		rest = rest[n:]
	}
	return status, nil
}
