package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/format"
	"log"
	"os"
	"strings"
)

type reason struct {
	ID      int    `json:"id"`
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
	Text    string `json:"text"`
}

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatalf("generate reasons: %v", err)
	}
}

func run() error {
	raw, err := os.ReadFile("reasons.json")
	if err != nil {
		return err
	}
	var list []reason
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("parse reasons.json: %w", err)
	}
	source, err := format.Source(goTable(list))
	if err != nil {
		return fmt.Errorf("format the Go table: %w", err)
	}
	for path, content := range map[string][]byte{
		"../include/reasons.h":  cEnum(list),
		"table.go":              source,
		"../../docs/reasons.md": manual(list),
	} {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func cEnum(list []reason) []byte {
	var b bytes.Buffer
	b.WriteString("/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n")
	b.WriteString("/* Code generated from bpf/reasons/reasons.json; DO NOT EDIT. */\n")
	b.WriteString("#ifndef EK_REASONS_H\n#define EK_REASONS_H\n\nenum reason {\n")
	for _, r := range list {
		fmt.Fprintf(&b, "\tREASON_%s = %d, /* %s: %s */\n", strings.ToUpper(r.Name), r.ID, r.Verdict, r.Text)
	}
	b.WriteString("};\n\n#endif\n")
	return b.Bytes()
}

func goTable(list []reason) []byte {
	var b bytes.Buffer
	b.WriteString("// Code generated from reasons.json; DO NOT EDIT.\n\npackage reasons\n\n")
	b.WriteString("// The reasons by name.\nconst (\n")
	for _, r := range list {
		fmt.Fprintf(&b, "// %s: %s.\n%s Reason = %d\n", camel(r.Name), r.Text, camel(r.Name), r.ID)
	}
	b.WriteString(")\n\nvar table = map[Reason]entry{\n")
	for _, r := range list {
		fmt.Fprintf(&b, "%s: {%q, %s, %q},\n", camel(r.Name), r.Name, camel(r.Verdict), r.Text)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

func manual(list []reason) []byte {
	var b bytes.Buffer
	b.WriteString("<!-- Generated from bpf/reasons/reasons.json; do not edit. -->\n\n# Reasons\n\n")
	b.WriteString("Every packet that the XDP program sees ends in exactly one of these. The number is the key in the\n")
	b.WriteString("map `ek_reasons`; the name is what `evenkeel status` prints.\n\n")
	b.WriteString("| number | name | verdict | meaning |\n|---|---|---|---|\n")
	for _, r := range list {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", r.ID, r.Name, r.Verdict, r.Text)
	}
	return b.Bytes()
}

// camel turns an identifier of the list into a Go name, initialisms as Go
// writes them.
func camel(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		switch word {
		case "ip", "ipv6", "vlan", "mac", "ttl", "dr", "nat", "icmp", "tun":
			b.WriteString(strings.Replace(strings.ToUpper(word), "IPV6", "IPv6", 1))
		default:
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}
