package resource

// environmentFields are the lines of podFields about the variables of
// containers.
var environmentFields = map[string]podField{
	"enableServiceLinks":           {support: honoured},
	"containers[].env":             {support: mixed},
	"containers[].env[].name":      {support: honoured},
	"containers[].env[].value":     {support: honoured},
	"containers[].env[].valueFrom": {support: mixed},
}
