// Command client writes numbered documents to a MongoDB through the official Go
// driver, one after the other, until it is told to stop (SIGTERM, SIGINT or
// -duration). Then it reads all of them back. It prints one line of JSON with
// what it saw and exits with 1 if a write failed or a document that was
// acknowledged is missing.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func main() {
	uri := flag.String("uri", "mongodb://127.0.0.1:27017/?directConnection=true", "the database")
	interval := flag.Duration("interval", 2*time.Millisecond, "pause between two writes")
	duration := flag.Duration("duration", 10*time.Minute, "stop by itself after this long")
	forget := flag.Bool("forget", false, "do not read back: the database keeps nothing over an upgrade")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()

	seen, err := run(ctx, *uri, *interval, *forget)
	if out, jsonErr := json.Marshal(seen); jsonErr == nil {
		fmt.Println(string(out))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

// report is what the client saw. Durations are in milliseconds.
type report struct {
	Acknowledged int      `json:"acknowledged"`
	Failed       int      `json:"failed"`
	Errors       []string `json:"errors,omitempty"` // the first ten
	LongestWait  int64    `json:"longestWaitMs"`
	Found        int      `json:"found"`
	Versions     []string `json:"versions"` // of the server, in the order they were met
}

func run(ctx context.Context, uri string, interval time.Duration, forget bool) (report, error) {
	var seen report
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return seen, fmt.Errorf("connect: %w", err)
	}
	// What follows the stop must still reach the database.
	after := context.WithoutCancel(ctx)
	defer func() {
		bounded, cancel := context.WithTimeout(after, 5*time.Second)
		defer cancel()
		if err := client.Disconnect(bounded); err != nil {
			fmt.Fprintln(os.Stderr, "client: disconnect:", err)
		}
	}()
	docs := client.Database("demo").Collection(fmt.Sprintf("run-%d", time.Now().UnixNano()))
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			if forget {
				return seen, verdict(seen)
			}
			seen.Found, err = readBack(after, docs, seen.Acknowledged+seen.Failed)
			return seen, errors.Join(err, verdict(seen), missing(seen))
		case <-tick.C:
		}
		seen.write(after, docs, n)
		if n%50 == 0 {
			seen.meet(after, client)
		}
	}
}

func (r *report) write(ctx context.Context, docs *mongo.Collection, n int) {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	start := time.Now()
	_, err := docs.InsertOne(ctx, bson.D{{Key: "_id", Value: n}, {Key: "text", Value: fmt.Sprintf("document %d", n)}})
	r.LongestWait = max(r.LongestWait, time.Since(start).Milliseconds())
	r.count(err)
}

func (r *report) count(err error) {
	if err == nil {
		r.Acknowledged++
		return
	}
	r.Failed++
	if len(r.Errors) < 10 {
		r.Errors = append(r.Errors, time.Now().UTC().Format("15:04:05.000 ")+err.Error())
	}
}

// meet notes the server's version when it is another one than before.
func (r *report) meet(ctx context.Context, client *mongo.Client) {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	var info struct{ Version string }
	if client.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info) != nil {
		return // the writes tell how the server is
	}
	if len(r.Versions) == 0 || r.Versions[len(r.Versions)-1] != info.Version {
		r.Versions = append(r.Versions, info.Version)
	}
}

// readBack looks for every numbered document and says how many are there.
func readBack(ctx context.Context, docs *mongo.Collection, written int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	found := 0
	for n := range written {
		count, err := docs.CountDocuments(ctx, bson.D{{Key: "_id", Value: n}, {Key: "text", Value: fmt.Sprintf("document %d", n)}})
		if err != nil {
			return found, fmt.Errorf("read document %d back: %w", n, err)
		}
		found += int(count)
	}
	return found, nil
}

func verdict(r report) error {
	if r.Failed > 0 || r.Acknowledged == 0 {
		return fmt.Errorf("%d writes acknowledged, %d failed", r.Acknowledged, r.Failed)
	}
	return nil
}

func missing(r report) error {
	if r.Found < r.Acknowledged {
		return fmt.Errorf("%d of %d acknowledged documents are missing", r.Acknowledged-r.Found, r.Acknowledged)
	}
	return nil
}
