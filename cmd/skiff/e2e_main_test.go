package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"skiff/proxy/handover"
)

// actAsSkiff has the test binary be the program that it tests, so that tests
// run real processes, built as the test was: with the race detector, that is.
// A daemon that "up -d" starts inherits it.
const actAsSkiff = "SKIFF_TEST_ACT_AS_SKIFF"

// takeAndEnd has it take over from the daemon that runs, as a newer version
// would, and then fail: "now", or not even that.
const takeAndEnd = "SKIFF_TEST_TAKE_AND_END"

func failAsHeir(how string) {
	conn, err := handover.Dial(context.Background(), filepath.Join(os.Getenv("SKIFF_DATA_DIR"), "handover"))
	if err != nil {
		panic(err)
	}
	var deed any
	if err := conn.Send(map[string]any{"Protocol": 1, "Take": true}); err != nil {
		panic(err)
	}
	if _, err := conn.Receive(&deed); err != nil {
		panic(err)
	}
	if how == "now" {
		os.Exit(3)
	}
	<-time.After(time.Hour)
}

func TestMain(m *testing.M) {
	if how := os.Getenv(takeAndEnd); how != "" {
		failAsHeir(how)
	}
	if os.Getenv(actAsSkiff) != "" {
		main()
	}
	os.Exit(m.Run())
}
