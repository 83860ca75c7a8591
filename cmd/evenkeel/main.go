package main

import (
	"context"
	"os"
	"path/filepath"
)

// version is set by the linker (make build).
var version string

func main() {
	e := &env{stdout: os.Stdout, stderr: os.Stderr}
	switch filepath.Base(os.Args[0]) {
	case "keepalived":
		os.Exit(e.keepalived(context.Background(), os.Args[1:]))
	case "genhash":
		os.Exit(e.genhash(context.Background(), os.Args[1:]))
	}
	os.Exit(e.run(context.Background(), os.Args[1:]))
}
