package orchestrator

import "skiff/orchestrator/resource"

// URLsAnnotation on a Service says where the host reaches it, URL by URL.
const URLsAnnotation = resource.URLsAnnotation
