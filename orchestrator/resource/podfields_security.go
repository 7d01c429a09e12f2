package resource

// securityFields are the lines of podFields about as whom containers run and
// what they may do.
var securityFields = map[string]podField{
	"securityContext.runAsUser":                {support: honoured},
	"securityContext.runAsGroup":               {support: honoured},
	"securityContext.runAsNonRoot":             {support: honoured},
	"securityContext.supplementalGroups":       {support: honoured},
	"securityContext.supplementalGroupsPolicy": {support: honoured}, // as far as validation lets it be
	"securityContext.fsGroup":                  {support: honoured},
	"securityContext.fsGroupChangePolicy":      {support: honoured},
	"securityContext.seLinuxChangePolicy":      {support: ignored, why: "volumes keep their SELinux labels"},
	"securityContext.appArmorProfile":          {support: mixed},
	"securityContext.appArmorProfile.type":     {neutral: profiles},

	"containers[].securityContext.runAsUser":                {support: honoured},
	"containers[].securityContext.runAsGroup":               {support: honoured},
	"containers[].securityContext.runAsNonRoot":             {support: honoured},
	"containers[].securityContext.privileged":               {support: honoured},
	"containers[].securityContext.allowPrivilegeEscalation": {support: honoured},
	"containers[].securityContext.readOnlyRootFilesystem":   {support: honoured},
	"containers[].securityContext.procMount":                {neutral: []string{"Default"}, why: "it needs hostUsers: false"},
	"containers[].securityContext.appArmorProfile":          {support: mixed},
	"containers[].securityContext.appArmorProfile.type":     {neutral: profiles},
}

// profiles are those that need no file of the node.
var profiles = []string{"RuntimeDefault", "Unconfined"}
