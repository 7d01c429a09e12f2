package container

import "io"

// Session is somebody's conversation with a process in a container. What is nil
// is not connected. With a TTY there is no separate standard error.
type Session struct {
	In     io.Reader
	Out    io.Writer
	Err    io.Writer
	TTY    bool
	Resize <-chan Size // of the terminal; closed, or nil, when there is no news
}

// Size is how many characters a terminal shows.
type Size struct {
	Width, Height uint16
}
