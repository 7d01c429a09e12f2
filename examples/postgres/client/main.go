// Command client writes numbered rows to PostgreSQL through pgx and its pool.
package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"skiff/examples/writer"
)

func main() {
	url := flag.String("url", "postgres://postgres@127.0.0.1:5432/postgres", "the database; its password is in PGPASSWORD")
	lifetime := flag.Duration("lifetime", time.Second, "how long a connection is used")
	writer.Main(writer.Options{Writers: 8, Interval: 20 * time.Millisecond}, func(ctx context.Context) (writer.Database, error) {
		return open(ctx, *url, *lifetime)
	})
}

// open makes a pool that replaces a connection of that age before it is used
// again. No driver may repeat a statement that was cut off: whether it was
// carried out is not known. But whoever comes back through a new connection
// within the time that a drain leaves the old ones is not cut off, but waits.
func open(ctx context.Context, url string, lifetime time.Duration) (writer.Database, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConnLifetime = lifetime
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, "create table if not exists record (key text primary key)"); err != nil {
		pool.Close()
		return nil, fmt.Errorf("create the table: %w", err)
	}
	return database{pool}, nil
}

type database struct{ pool *pgxpool.Pool }

func (d database) Write(ctx context.Context, key string) error {
	_, err := d.pool.Exec(ctx, "insert into record values ($1)", key)
	return err
}

func (d database) Has(ctx context.Context, key string) (there bool, err error) {
	err = d.pool.QueryRow(ctx, "select exists (select from record where key = $1)", key).Scan(&there)
	return there, err
}

// Version is the setting in which the two images differ.
func (d database) Version(ctx context.Context) (version string, err error) {
	err = d.pool.QueryRow(ctx, "show cluster_name").Scan(&version)
	return version, err
}

func (d database) Close(context.Context) error {
	d.pool.Close()
	return nil
}
