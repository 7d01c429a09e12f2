package resource

// volumeFields are the lines of volumes and of their mounts.
var volumeFields = map[string]podField{
	"containers[].volumeMounts":                     {support: mixed},
	"containers[].volumeMounts[].name":              {support: honoured},
	"containers[].volumeMounts[].mountPath":         {support: honoured},
	"containers[].volumeMounts[].readOnly":          {support: honoured},
	"containers[].volumeMounts[].recursiveReadOnly": {support: honoured},
	"containers[].volumeMounts[].subPath":           {support: honoured},
	"containers[].volumeMounts[].subPathExpr":       {support: honoured},
	"containers[].volumeMounts[].mountPropagation":  {support: honoured},

	"volumes":                      {support: mixed},
	"volumes[].name":               {support: honoured},
	"volumes[].emptyDir":           {support: mixed},
	"volumes[].emptyDir.medium":    {neutral: []string{"Memory"}},
	"volumes[].emptyDir.sizeLimit": {support: honoured},

	"volumes[].ephemeral":                                                    {support: mixed},
	"volumes[].ephemeral.volumeClaimTemplate":                                {support: mixed},
	"volumes[].ephemeral.volumeClaimTemplate.spec.volumeMode":                {neutral: []string{"Filesystem"}, why: noDevices},
	"volumes[].ephemeral.volumeClaimTemplate.spec.selector":                  {why: ownVolume},
	"volumes[].ephemeral.volumeClaimTemplate.spec.volumeName":                {why: ownVolume},
	"volumes[].ephemeral.volumeClaimTemplate.spec.dataSource":                {why: emptyAtFirst},
	"volumes[].ephemeral.volumeClaimTemplate.spec.dataSourceRef":             {why: emptyAtFirst},
	"volumes[].ephemeral.volumeClaimTemplate.spec.volumeAttributesClassName": {why: noAttributes},

	"volumes[].projected":             {support: mixed},
	"volumes[].projected.defaultMode": {support: honoured},
	"volumes[].projected.sources":     {support: mixed},
}
