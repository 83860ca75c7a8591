package lbmaps

import (
	"slices"
	"testing"
)

func TestSuccessorsSkipServersWithoutWeight(t *testing.T) {
	for _, c := range []struct {
		weights []int32
		want    []uint32
	}{
		{nil, []uint32{}},
		{[]int32{1, 1, 1}, []uint32{0, 1, 2}},
		{[]int32{0, 5, 0, 0, 2, 0}, []uint32{1, 1, 4, 4, 4, 1}},
		{[]int32{0, 0}, []uint32{noEntry, noEntry}},
		{[]int32{3}, []uint32{0}},
	} {
		var places []Place
		for _, w := range c.weights {
			places = append(places, Place{Weight: w})
		}
		if got := successors(places); !slices.Equal(got, c.want) {
			t.Errorf("weights %v: %v, want %v", c.weights, got, c.want)
		}
	}
}
