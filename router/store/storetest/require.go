package storetest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Require names the environment variable that lists, with commas, what must be there: where one of them is missing a
// test fails instead of being skipped. The names are postgres, shells (bash, zsh and fish), mandoc, chromium (with
// axe-core), and those of other programs.
const Require = "FLOWBRIDGE_TEST_REQUIRE"

// Long leaves a test out where -short asks for the quick ones: what takes seconds of real processes, or of many
// histories.
func Long(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes long: left out with -short")
	}
}

// Tool returns the path of a program that a test runs. Where this machine has none the test is skipped, or fails if
// Require says so by the name of require. how says how to install it.
func Tool(t testing.TB, program, require, how string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		Lacking(t, require, "there is no "+program+" on this machine: "+how)
	}
	return path
}

// Lacking skips a test for want of something, or fails it if Require names that.
func Lacking(t testing.TB, require, what string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv(Require), ","), require) {
		t.Fatalf("%s (%s asks for it)", what, Require)
	}
	t.Skip(what)
}
