package container

// Identity is as whom the first process of a container begins.
type Identity struct {
	UID, GID int64
	Groups   []int64 // that the image makes the user a member of
}
