// Package figure holds what benches measure, and compares it: a Figure is one
// thing measured in several rounds, beside a yardstick in the same rounds.
//
// Statistics are those of benchstat (golang.org/x/perf/benchmath), which assume
// nothing about how values are distributed: the median with a confidence interval,
// and the Mann-Whitney U test between two runs.
//
// It measures nothing and draws nothing. Tested by tables.
package figure
