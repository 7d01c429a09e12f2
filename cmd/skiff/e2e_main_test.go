package main

import (
	"os"
	"testing"
)

// actAsSkiff has the test binary be the program that it tests, so that tests
// run real processes, built as the test was: with the race detector, that is.
// A daemon that "up -d" starts inherits it.
const actAsSkiff = "SKIFF_TEST_ACT_AS_SKIFF"

func TestMain(m *testing.M) {
	if os.Getenv(actAsSkiff) != "" {
		main()
	}
	os.Exit(m.Run())
}
