package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/evenkeel/evenkeel/config"
)

const page = "../docs/keywords.md"

func main() {
	var b bytes.Buffer
	err := config.WriteManual(&b)
	if err == nil {
		err = os.WriteFile(page, b.Bytes(), 0o644)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "write %s: %v\n", page, err)
		os.Exit(1)
	}
}
