// Package test holds the tests that belong to no single package: the rules of
// the repository (who imports whom, what is documented, what each file says of
// itself), and later interop, parity and fault tests.
//
// It may import anything, is imported by nothing, and has no code outside its
// tests. A rule is a pure function from what was read to complaints; beside the
// test that applies it to the tree stands one that shows it complaining.
package test
