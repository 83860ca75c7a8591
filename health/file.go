package health

import (
	"fmt"
	"math"

	"github.com/evenkeel/evenkeel/model"
)

// file makes one try of FILE_CHECK.
func (k *Checkers) file(c model.Check) Answer {
	if c.File == nil || k.opts.Files == nil {
		return Answer{Err: notTried("no file is tracked")}
	}
	value, ok := k.opts.Files.Value(c.File.TrackFile)
	if !ok {
		return Answer{Err: notTried("no such track_file")}
	}
	change, err := judgeFile(*c.File, value)
	return Answer{Err: err, Weight: change}
}

// judgeFile says what a value means: with weight 0 another value than 0 fails
// (reverse: the value 0), else value times weight is added to the server's
// weight, and what is below all weights fails.
func judgeFile(f model.FileSpec, value int64) (WeightChange, error) {
	if f.Weight == 0 {
		if (value == 0) == f.Reverse {
			return WeightChange{}, fmt.Errorf("the file has the value %d", value)
		}
		return WeightChange{}, nil
	}
	// Beyond the range of weights all values are alike, and so the product
	// does not overflow.
	value = min(max(value, -math.MaxInt32-1), math.MaxInt32+1)
	sum := value * int64(f.Weight)
	if f.Reverse {
		sum = -sum
	}
	if sum < -math.MaxInt32 {
		return WeightChange{}, fmt.Errorf("the file has the value %d, which is %d below all weights", value, -sum)
	}
	return WeightChange{Add: min(sum, math.MaxInt32)}, nil
}
