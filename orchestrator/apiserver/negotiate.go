package apiserver

import (
	"cmp"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The forms in which a client can ask for objects, besides their own.
const (
	asTable       = "Table"
	asPartial     = "PartialObjectMetadata"
	asPartialList = "PartialObjectMetadataList"
	asDiscovery   = "APIGroupDiscoveryList"
)

// output is how an answer is to be written.
type output struct {
	format *format
	as     string
	stream bool
	pretty bool
}

// contentType repeats what was agreed on, as clients check it.
func (o output) contentType() string {
	switch {
	case o.stream && o.format.binary:
		return o.format.mediaType + ";stream=watch"
	case o.as == asDiscovery:
		return o.format.mediaType + ";g=apidiscovery.k8s.io;v=v2;as=" + asDiscovery
	}
	return o.format.mediaType
}

// accepted is one entry of an Accept header.
type accepted struct {
	mediaType string
	params    map[string]string
	quality   float64
}

// negotiate finds the first form among those the client accepts that can be
// given. stream asks for one that can be cut into events.
func negotiate(r *request, stream bool) (output, error) {
	for _, candidate := range parseAccept(r.Header.Get("Accept")) {
		for _, f := range formats {
			if !matches(candidate.mediaType, f.mediaType) || (stream && f.mediaType == "application/yaml") {
				continue
			}
			as := candidate.params["as"]
			if !canGive(candidate.params, f) {
				continue
			}
			return output{format: f, as: as, stream: stream, pretty: wantsPretty(r) && !stream}, nil
		}
	}
	return output{}, notAcceptable()
}

// canGive says whether the form that the parameters ask for exists in f.
func canGive(params map[string]string, f *format) bool {
	as, group, version := params["as"], params["g"], params["v"]
	switch as {
	case "":
		return true
	case asTable:
		return group == metav1.GroupName && version == "v1" && !f.binary
	case asPartial, asPartialList:
		return group == metav1.GroupName && version == "v1"
	}
	return false
}

func parseAccept(header string) []accepted {
	if strings.TrimSpace(header) == "" {
		return []accepted{{mediaType: "*/*"}}
	}
	var all []accepted
	for _, part := range strings.Split(header, ",") {
		mediaType, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		entry := accepted{mediaType: mediaType, params: params, quality: 1}
		if q, given := params["q"]; given {
			entry.quality, _ = strconv.ParseFloat(q, 64)
		}
		if entry.quality > 0 {
			all = append(all, entry)
		}
	}
	slices.SortStableFunc(all, func(a, b accepted) int { return cmp.Compare(b.quality, a.quality) })
	return all
}

func matches(pattern, mediaType string) bool {
	return pattern == mediaType || pattern == "*/*" || pattern == "application/*"
}

// wantsPretty indents for people, who are recognised as upstream does it.
func wantsPretty(r *request) bool {
	if given, ok := r.query["pretty"]; ok {
		pretty, err := strconv.ParseBool(given[0])
		return pretty || (err != nil && given[0] == "")
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "curl") || strings.HasPrefix(agent, "Wget") || strings.HasPrefix(agent, "Mozilla/5.0")
}

// bodyFormat is that of the request's body; JSON if it does not say.
func bodyFormat(r *request) (*format, error) {
	header := r.Header.Get("Content-Type")
	if header == "" {
		return formats[0], nil
	}
	mediaType, _, err := mime.ParseMediaType(header)
	if err == nil {
		for _, f := range formats {
			if f.mediaType == mediaType {
				return f, nil
			}
		}
	}
	return nil, unsupportedMediaType(mediaTypes())
}

func mediaTypes() []string {
	var all []string
	for _, f := range formats {
		all = append(all, f.mediaType)
	}
	return all
}

func notAcceptable() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusNotAcceptable,
		Reason:  metav1.StatusReasonNotAcceptable,
		Message: fmt.Sprintf("only the following media types are accepted: %s", strings.Join(mediaTypes(), ", ")),
	}}
}

func unsupportedMediaType(supported []string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusUnsupportedMediaType,
		Reason:  metav1.StatusReasonUnsupportedMediaType,
		Message: fmt.Sprintf("the body of the request was in an unknown format - accepted media types include: %s", strings.Join(supported, ", ")),
	}}
}
