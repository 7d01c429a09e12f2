package store

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

func BenchmarkCreate(b *testing.B) {
	s, value := newStore(b), make([]byte, 2000)
	n := 0
	for b.Loop() {
		n++
		if _, err := s.Create(b.Context(), pod("a", fmt.Sprint(n)), value); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s, value := newStore(b), make([]byte, 2000)
			var next atomic.Int64
			b.SetParallelism(max(1, writers/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				key := pod("a", fmt.Sprint(next.Add(1)))
				revision := mustCreate(b, s, key, "")
				for pb.Next() {
					var err error
					if revision, err = s.Update(b.Context(), key, value, revision); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkList1000(b *testing.B) {
	s, value := newStore(b), string(make([]byte, 2000))
	for i := range 1000 {
		mustCreate(b, s, pod("a", fmt.Sprint(i)), value)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.List(Query{Storage: "pods"}); err != nil {
			b.Fatal(err)
		}
	}
}
