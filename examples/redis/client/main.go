// Command client writes numbered keys to Redis through its official Go client.
package main

import (
	"context"
	"errors"
	"flag"
	"time"

	"github.com/redis/go-redis/v9"

	"skiff/examples/writer"
)

func main() {
	address := flag.String("address", "127.0.0.1:6379", "the database")
	writer.Main(writer.Options{Writers: 8, Interval: 20 * time.Millisecond}, func(context.Context) (writer.Database, error) {
		return database{redis.NewClient(&redis.Options{Addr: *address, ReadTimeout: patience})}, nil
	})
}

// patience is for an answer, of which a connection's first waits as long as the
// proxy holds it. The driver's own 5 s are short for a busy machine.
const patience = 30 * time.Second

type database struct{ client *redis.Client }

func (d database) Write(ctx context.Context, key string) error {
	return d.client.Set(ctx, key, key, 0).Err()
}

func (d database) Has(ctx context.Context, key string) (bool, error) {
	value, err := d.client.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return value == key, err
}

// Version is the setting in which the two images differ.
func (d database) Version(ctx context.Context) (string, error) {
	settings, err := d.client.ConfigGet(ctx, "maxmemory").Result()
	return settings["maxmemory"], err
}

func (d database) Close(context.Context) error { return d.client.Close() }
