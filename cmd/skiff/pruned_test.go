package main

import (
	"bytes"
	"os"
	"testing"
)

// TestMethodsPruned: nothing in the program looks methods up by name. Where
// something does, as text/template, the linker keeps every method of every type
// that is ever in an interface: 16 MB more, and 10 MB of memory.
func TestMethodsPruned(t *testing.T) {
	t.Parallel()
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatalf("%v: run \"make build\" first", err)
	}
	// A wrapper that nothing calls: it is there only if every method is.
	const canary = "reflect.(*Value).MethodByName"
	if bytes.Contains(program, []byte(canary+"\x00")) {
		t.Errorf("%s is linked into the program: find what calls reflect's Method or MethodByName with go build -ldflags=-dumpdep and <ReflectMethod>", canary)
	}
}
