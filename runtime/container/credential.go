package container

// Credential is who asks a registry for an image. The zero value is nobody in
// particular.
type Credential struct {
	Registry           string
	Username, Password string
	IdentityToken      string // instead of both
}
