package resource

// URLsAnnotation, which skiff writes on a Service, says where the host reaches
// it: URLs with a space between them.
const URLsAnnotation = "skiff.dev/urls"
