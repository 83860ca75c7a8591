package main

import (
	"context"
	"os"
)

// version is set by the linker (make build).
var version string

func main() {
	e := &env{stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(e.run(context.Background(), os.Args[1:]))
}
