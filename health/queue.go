package health

import "container/heap"

// queue keeps checks by due time.
type queue struct{ heap dueHeap }

func (q *queue) first() *check {
	if len(q.heap) == 0 {
		return nil
	}
	return q.heap[0]
}

func (q *queue) add(c *check) { heap.Push(&q.heap, c) }

// remove takes a check out; one that is not in does no harm.
func (q *queue) remove(c *check) {
	if c.place >= 0 {
		heap.Remove(&q.heap, c.place)
	}
}

// dueHeap implements heap.Interface and keeps each check's place.
type dueHeap []*check

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *dueHeap) Push(x any) {
	c := x.(*check)
	c.place = len(*h)
	*h = append(*h, c)
}

func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	last.place = -1
	return last
}
