// Command client writes numbered documents to a MongoDB through the official Go
// driver, one after the other.
package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"skiff/examples/writer"
)

func main() {
	uri := flag.String("uri", "mongodb://127.0.0.1:27017/?directConnection=true", "the database")
	writer.Main(writer.Options{Writers: 1, Interval: 2 * time.Millisecond}, func(context.Context) (writer.Database, error) {
		client, err := mongo.Connect(options.Client().ApplyURI(*uri))
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		return database{client, client.Database("demo").Collection("documents")}, nil
	})
}

type database struct {
	client *mongo.Client
	docs   *mongo.Collection
}

func document(key string) bson.D { return bson.D{{Key: "_id", Value: key}, {Key: "text", Value: key}} }

func (d database) Write(ctx context.Context, key string) error {
	_, err := d.docs.InsertOne(ctx, document(key))
	return err
}

func (d database) Has(ctx context.Context, key string) (bool, error) {
	count, err := d.docs.CountDocuments(ctx, document(key))
	return count == 1, err
}

func (d database) Version(ctx context.Context) (string, error) {
	var info struct{ Version string }
	err := d.client.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info)
	return info.Version, err
}

func (d database) Close(ctx context.Context) error { return d.client.Disconnect(ctx) }
