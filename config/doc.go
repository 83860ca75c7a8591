// Package config reads the keepalived.conf language: it lexes and expands the
// files, builds a syntax tree, checks every word against a table of keepalived's
// keywords, and turns what Evenkeel runs into the values of package model.
//
// Every word keeps file:line:column, so every complaint says where. It is
// lenient by line, as keepalived is: an unknown word is a warning and the rest
// works; a service that cannot run as written is left out with an error. A file
// whose meaning as a whole is in doubt (unreadable, empty, unbalanced braces, a
// missing include, a limit exceeded) is not parsed at all, so that a reload
// keeps what runs.
//
// It never reaches the network, runs nothing, logs nothing and keeps no state
// between calls. Its only effect is reading the named files. Everything it
// allocates is bounded by Limits.
//
// Tests are tables for every lexical rule, golden diagnostics in testdata, a
// corpus of real files with the verdicts of keepalived 2.2.7, property tests
// and the fuzz targets FuzzLex and FuzzLoad. In the interop tier keepalived
// itself says which words of the corpus, of its package's samples and of its
// manual's examples it does not know, and what it makes of instances.
//
// docs/keywords.md is written from the tables by WriteManual.
package config

//go:generate go run ./keywordsdoc
