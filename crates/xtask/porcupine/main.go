// Decides the histories of a folder with Porcupine and prints one JSON line for each: its name, the answer, the seconds.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// The fastest of this many tries counts, unless one alone takes long.
const tries = 3

// A history that takes longer than this has no answer.
const limit = 10 * time.Second

// One line of a history: what was asked of which key, and the answer if there is one.
type row struct {
	Model  string          `json:"model"`
	Call   int64           `json:"call"`
	Return *int64          `json:"return"`
	Key    int64           `json:"key"`
	F      string          `json:"f"`
	Asked  json.RawMessage `json:"asked"`
	Answer json.RawMessage `json:"answer"`
	Failed bool            `json:"failed"`
}

type input struct {
	f        string
	key      int64
	text     string
	from, to int64
}

type output struct {
	known  bool
	failed bool
	text   string
	number int64
}

// A register holds this before anything is written to it.
const empty = math.MinInt64

func number(raw json.RawMessage) int64 {
	if len(raw) == 0 || string(raw) == "null" {
		return empty
	}
	var n int64
	if err := json.Unmarshal(raw, &n); err != nil {
		panic(fmt.Sprintf("%s is no number: %v", raw, err))
	}
	return n
}

func text(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		panic(fmt.Sprintf("%s is no text: %v", raw, err))
	}
	return s
}

var register = porcupine.Model{
	Init: func() interface{} { return int64(empty) },
	Step: func(state, in, out interface{}) (bool, interface{}) {
		s, i, o := state.(int64), in.(input), out.(output)
		switch i.f {
		case "read":
			return !o.known || o.number == s, s
		case "write":
			return true, i.to
		default:
			if o.known && o.failed {
				return s != i.from, s
			}
			if s == i.from {
				return true, i.to
			}
			// Without an answer it may have found another value.
			return !o.known, s
		}
	},
	Hash: func(state interface{}) uint64 { return uint64(state.(int64)) },
}

var kv = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int64][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(input).key
			byKey[key] = append(byKey[key], op)
		}
		keys := make([]int64, 0, len(byKey))
		for key := range byKey {
			keys = append(keys, key)
		}
		sort.Slice(keys, func(a, b int) bool { return keys[a] < keys[b] })
		parts := make([][]porcupine.Operation, 0, len(keys))
		for _, key := range keys {
			parts = append(parts, byKey[key])
		}
		return parts
	},
	Init: func() interface{} { return "" },
	Step: func(state, in, out interface{}) (bool, interface{}) {
		s, i, o := state.(string), in.(input), out.(output)
		switch i.f {
		case "get":
			return !o.known || o.text == s, s
		case "put":
			return true, i.text
		default:
			return true, s + i.text
		}
	},
	Hash: func(state interface{}) uint64 {
		h := fnv.New64a()
		h.Write([]byte(state.(string)))
		return h.Sum64()
	},
}

func read(path string) (porcupine.Model, []porcupine.Operation, error) {
	file, err := os.Open(path)
	if err != nil {
		return porcupine.Model{}, nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<24)
	model := register
	var ops []porcupine.Operation
	for lines.Scan() {
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return model, nil, fmt.Errorf("%s: %w", path, err)
		}
		if r.Model != "" {
			if r.Model == "kv" {
				model = kv
			}
			continue
		}
		in := input{f: r.F, key: r.Key}
		out := output{known: r.Return != nil, failed: r.Failed}
		switch r.F {
		case "cas":
			var pair [2]json.RawMessage
			if err := json.Unmarshal(r.Asked, &pair); err != nil {
				return model, nil, fmt.Errorf("%s: %w", path, err)
			}
			in.from, in.to = number(pair[0]), number(pair[1])
		case "write":
			in.to = number(r.Asked)
		case "read":
			out.number = number(r.Answer)
		case "get":
			out.text = text(r.Answer)
		default:
			in.text = text(r.Asked)
		}
		end := int64(math.MaxInt64)
		if r.Return != nil {
			end = *r.Return
		}
		ops = append(ops, porcupine.Operation{Input: in, Call: r.Call, Output: out, Return: end})
	}
	return model, ops, lines.Err()
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "the argument is the folder with the histories")
		os.Exit(2)
	}
	paths, err := filepath.Glob(filepath.Join(os.Args[1], "[0-9]*.jsonl"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sort.Strings(paths)
	for _, path := range paths {
		model, ops, err := read(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		best, answer := math.MaxFloat64, porcupine.Unknown
		for try := 0; try < tries; try++ {
			began := time.Now()
			answer = porcupine.CheckOperationsTimeout(model, ops, limit)
			seconds := time.Since(began).Seconds()
			best = math.Min(best, seconds)
			if seconds > 1 {
				break
			}
		}
		name := strings.TrimSuffix(filepath.Base(path), ".jsonl")
		line, _ := json.Marshal(map[string]interface{}{
			"name": name, "answer": strings.ToLower(string(answer)), "seconds": best,
		})
		fmt.Println(string(line))
	}
}
