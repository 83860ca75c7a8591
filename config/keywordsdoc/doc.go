// Command keywordsdoc writes docs/keywords.md from the tables of package config.
// It runs in that package, by go generate; it reads nothing. A test of package
// config compares the page with the tables.
package main
