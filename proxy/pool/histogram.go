package pool

import (
	"maps"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// A histogram's buckets are linear within each power of two, so that whatever
// lies in one is known to a sixteenth, from a microsecond to more than an hour.
const (
	unitBits  = 10 // of a nanosecond: the lowest buckets are 1.024 µs wide
	linear    = 16
	octaves   = 28
	bucketsOf = (octaves + 1) * linear
)

// bucketOf is where d belongs.
func bucketOf(d time.Duration) int {
	v := uint64(max(0, d)) >> unitBits
	octave := max(0, bits.Len64(v)-5)
	return min(octave*linear+int(v>>octave), bucketsOf-1)
}

// upTo is where a bucket ends.
func upTo(bucket int) time.Duration {
	if bucket < linear {
		return time.Duration(bucket+1) << unitBits
	}
	octave := bucket/linear - 1
	return time.Duration(bucket%linear+linear+1) << octave << unitBits
}

// recorder is a histogram that is being filled. The buckets are made with the
// first value: most of what could be counted never happens.
type recorder struct {
	buckets atomic.Pointer[[bucketsOf]atomic.Uint64]
	sum     atomic.Int64
}

func (r *recorder) record(d time.Duration) {
	buckets := r.buckets.Load()
	if buckets == nil {
		r.buckets.CompareAndSwap(nil, new([bucketsOf]atomic.Uint64))
		buckets = r.buckets.Load()
	}
	buckets[bucketOf(d)].Add(1)
	r.sum.Add(int64(d))
}

func (r *recorder) read() Histogram {
	h := Histogram{Sum: time.Duration(r.sum.Load())}
	buckets := r.buckets.Load()
	if buckets == nil {
		return h
	}
	for i := range buckets {
		if n := buckets[i].Load(); n > 0 {
			if h.Buckets == nil {
				h.Buckets = map[int]uint64{}
			}
			h.Buckets[i] = n
		}
	}
	return h
}

// Histogram is how often what took how long. It is a value: nothing changes it.
type Histogram struct {
	Buckets map[int]uint64 `json:",omitempty"` // by number; only those that hold something
	Sum     time.Duration  `json:",omitempty"`
}

// Count is how many values it holds.
func (h Histogram) Count() uint64 {
	var n uint64
	for _, more := range h.Buckets {
		n += more
	}
	return n
}

// Quantile is what the share q of the values does not exceed, 0 of none.
func (h Histogram) Quantile(q float64) time.Duration {
	wanted := max(1, uint64(q*float64(h.Count())+0.5))
	var last time.Duration
	for _, bucket := range slices.Sorted(maps.Keys(h.Buckets)) {
		n := h.Buckets[bucket]
		last = upTo(bucket)
		if n >= wanted {
			break
		}
		wanted -= n
	}
	return last
}

// Within is how many values lie in buckets that end at limit or before.
func (h Histogram) Within(limit time.Duration) uint64 {
	var n uint64
	for bucket, more := range h.Buckets {
		if upTo(bucket) <= limit {
			n += more
		}
	}
	return n
}

// Plus holds the values of both.
func (h Histogram) Plus(other Histogram) Histogram {
	sum := Histogram{Buckets: maps.Clone(h.Buckets), Sum: h.Sum + other.Sum}
	if sum.Buckets == nil {
		sum.Buckets = maps.Clone(other.Buckets)
		return sum
	}
	for bucket, n := range other.Buckets {
		sum.Buckets[bucket] += n
	}
	return sum
}

// Minus holds the values that came after earlier.
func (h Histogram) Minus(earlier Histogram) Histogram {
	rest := Histogram{Sum: h.Sum - earlier.Sum}
	for bucket, n := range h.Buckets {
		if n > earlier.Buckets[bucket] {
			if rest.Buckets == nil {
				rest.Buckets = map[int]uint64{}
			}
			rest.Buckets[bucket] = n - earlier.Buckets[bucket]
		}
	}
	return rest
}
